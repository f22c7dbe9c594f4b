"""EVA-02 CLIP ViT-L/14-336 refined with region-text pairs on LVIS (paper, sections 4.4 and A.4).

    tools/dist_test.sh configs/region_text/pseudo-labels_eva02-b16_lvis.py "" 8
    python tools/train.py configs/region_text/region-text_eva02-l14-336_1xb2-38k_lvis.py --amp

The first command makes the pairs. No number is published for this combination.
"""

_base_ = './region-text_eva02-l14-336_1xb2-44k_coco.py'

model = dict(nouns=dict(vocabulary='ov_lvis'))
train_dataloader = dict(
    dataset=dict(
        data_root='data/lvis_v1/',
        ann_file='annotations/lvis_v1_pseudo_1203.json',
        data_prefix=dict(img=''),
        vocabulary='ov_lvis',
    )
)
param_scheduler = [dict(type='WarmupCosineLR', warmup=1000, end=37566)]
train_cfg = dict(max_iters=37566, val_interval=6261)
