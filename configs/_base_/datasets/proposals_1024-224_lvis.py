"""Regions to distil: LVIS v1 train, RPN proposals; student 1024 px, crops 224 px."""

_base_ = './proposals_1024-224_coco.py'

train_dataloader = dict(
    dataset=dict(
        data_root='data/lvis_v1/',
        ann_file='annotations/lvis_v1_proposals.json',
        data_prefix=dict(img=''),
    ),
)
