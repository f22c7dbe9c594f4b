"""F-ViT on EVA-02 CLIP ViT-B/16 refined by CLIPSelf with image patches, on OV-COCO.

    tools/dist_train.sh configs/fvit/fvit_eva02-b16_8xb8-3e_ov-coco.py 8 --amp

The tower is what configs/clipself/clipself_eva02-b16_patches_1xb2-44k_coco.py leaves behind; any
other is one key, ``model.backbone.tower.checkpoint`` (README.md has the published towers).
Expected AP50 novel / base / all: 33.6 / 54.2 / 48.8 (paper, Table A5), the best of the 3 epochs by
novel AP50, which training keeps as ``best_coco_novel_ap50_*.pth``.
"""

_base_ = [
    '../_base_/models/fvit_eva02-b16_ov-coco.py',
    '../_base_/datasets/ov-coco.py',
    '../_base_/schedules/fvit_3e.py',
    '../_base_/detection_runtime.py',
]

tower = 'work_dirs/clipself_eva02-b16_patches_1xb2-44k_coco/tower/open_clip_model.safetensors'
model = dict(backbone=dict(tower=dict(checkpoint=tower)))
