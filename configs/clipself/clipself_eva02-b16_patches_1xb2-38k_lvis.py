"""CLIPSelf of EVA-02 CLIP ViT-B/16 with image patches on LVIS: one GPU, 37,566 steps.

    python tools/train.py \
        configs/clipself/clipself_eva02-b16_patches_1xb2-38k_lvis.py --amp

Six times one of 8 GPUs' share of LVIS (6,261 steps), as the published weights were made. Region
accuracy is not published; an F-ViT on this tower has mask AP r 25.3 (paper, Table A6).
"""

_base_ = './clipself_eva02-b16_patches_1xb2-44k_coco.py'

train_dataloader = dict(
    dataset=dict(
        data_root='data/lvis_v1/',
        ann_file='annotations/lvis_v1_train.json',
        data_prefix=dict(img=''),
    )
)
param_scheduler = [dict(type='WarmupCosineLR', warmup=1000, end=37566)]
train_cfg = dict(max_iters=37566, val_interval=6261)
