"""ADE20K-150 val as CAT-Seg is tested: images stretched to 640 x 640."""

_base_ = './semantic-val_1024_ade20k-150.py'

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(640, 640), keep_ratio=False),
    dict(type='LoadAnnotations'),  # behind Resize: compared at the original size
    dict(type='PackSegInputs'),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
