"""Regions to distil: LVIS v1 train, boxes unused; student 896 px, crops 336 px."""

_base_ = './patches_896-336_coco.py'

train_dataloader = dict(
    dataset=dict(
        data_root='data/lvis_v1/',
        ann_file='annotations/lvis_v1_train.json',
        data_prefix=dict(img=''),
    ),
)
