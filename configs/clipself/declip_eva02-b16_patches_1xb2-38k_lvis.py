"""DeCLIP (arXiv 2505.04410) of EVA-02 CLIP ViT-B/16 with image patches on LVIS' images.

    python tools/train.py configs/clipself/declip_eva02-b16_patches_1xb2-38k_lvis.py --amp

Expected: not measured yet. As on COCO; for OV-LVIS, whose validation images COCO trains on.
"""

_base_ = './declip_eva02-b16_patches_1xb2-44k_coco.py'

train_dataloader = dict(
    dataset=dict(
        data_root='data/lvis_v1/',
        ann_file='annotations/lvis_v1_train.json',
        data_prefix=dict(img=''),
    )
)
param_scheduler = [dict(type='WarmupCosineLR', warmup=1000, end=37566)]
train_cfg = dict(max_iters=37566, val_interval=6261)
