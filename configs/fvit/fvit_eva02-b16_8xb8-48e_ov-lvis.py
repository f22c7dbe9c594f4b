"""F-ViT on EVA-02 CLIP ViT-B/16 refined by CLIPSelf with image patches, on OV-LVIS.

    tools/dist_train.sh configs/fvit/fvit_eva02-b16_8xb8-48e_ov-lvis.py 8 --amp

The tower is what configs/clipself/clipself_eva02-b16_patches_1xb2-38k_lvis.py leaves behind; any
other is one key, ``model.backbone.tower.checkpoint`` (README.md).
Expected mask AP rare / common / frequent / all: 25.3 / 21.8 / 29.1 / 25.2 (paper, Table A6).
"""

_base_ = [
    '../_base_/models/fvit_eva02-b16_ov-lvis.py',
    '../_base_/datasets/ov-lvis.py',
    '../_base_/schedules/fvit_3e.py',
    '../_base_/detection_runtime.py',
]

tower = 'work_dirs/clipself_eva02-b16_patches_1xb2-38k_lvis/tower/open_clip_model.safetensors'
model = dict(backbone=dict(tower=dict(checkpoint=tower)))

param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=251),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=48, milestones=[32, 44], gamma=0.1),
]
train_cfg = dict(max_epochs=48, val_interval=12)
default_hooks = dict(checkpoint=dict(save_best='lvis/segm_apr'))
