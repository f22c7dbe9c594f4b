"""ADE20K-847 val as CAT-Seg is tested: images stretched to 640 x 640."""

_base_ = './semantic-val_1024_ade20k-847.py'

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(640, 640), keep_ratio=False),
    dict(type='LoadWideLabels', num_classes=847),  # behind Resize: compared at the original size
    dict(type='PackSegInputs'),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
