"""Region-text pairs of LVIS v1 train, written by configs/region_text/pseudo-labels; 896 px."""

_base_ = './region-text_896_coco.py'

train_dataloader = dict(
    dataset=dict(
        data_root='data/lvis_v1/',
        ann_file='annotations/lvis_v1_pseudo_1203.json',
        data_prefix=dict(img=''),
    ),
)
