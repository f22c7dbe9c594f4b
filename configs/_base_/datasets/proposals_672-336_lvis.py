"""Regions to distil: LVIS v1 train, RPN proposals; student 672 px, crops 336 px."""

_base_ = './proposals_672-336_coco.py'

train_dataloader = dict(
    dataset=dict(
        data_root='data/lvis_v1/',
        ann_file='annotations/lvis_v1_proposals.json',
        data_prefix=dict(img=''),
    ),
)
