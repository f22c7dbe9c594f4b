"""Regions to distil: LVIS v1 train, boxes unused; student 1024 px, crops 224 px."""

_base_ = './patches_1024-224_coco.py'

train_dataloader = dict(
    dataset=dict(
        data_root='data/lvis_v1/',
        ann_file='annotations/lvis_v1_train.json',
        data_prefix=dict(img=''),
    ),
)
