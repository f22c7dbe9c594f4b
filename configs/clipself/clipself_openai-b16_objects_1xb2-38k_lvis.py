"""CLIPSelf of OpenAI CLIP ViT-B/16 with object regions and patches on LVIS: 37,566 steps.

    tools/dist_test.sh configs/clipself/object-regions_eva02-b16_lvis.py "" 8
    python tools/train.py configs/clipself/clipself_openai-b16_objects_1xb2-38k_lvis.py --amp

As on COCO, for OV-LVIS, whose validation images COCO trains on. Expected: not measured on LVIS, nor
on COCO.
"""

_base_ = './clipself_openai-b16_objects_1xb2-44k_coco.py'

train_dataloader = dict(
    dataset=dict(
        data_root='data/lvis_v1/',
        ann_file='annotations/lvis_v1_objects.json',
        data_prefix=dict(img=''),
    )
)
param_scheduler = [dict(type='WarmupCosineLR', warmup=1000, end=37566)]
train_cfg = dict(max_iters=37566, val_interval=6261)
