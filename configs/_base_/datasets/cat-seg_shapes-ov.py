"""Shapes-OV to train CAT-Seg: base things and stuff have labels, novel things are left out."""

_base_ = './semantic-val_shapes-ov.py'

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadPanopticSemantic'),
    dict(type='RandomResize', scale=(128, 128), ratio_range=(0.75, 1.25), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(96, 96)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='PanopticSegDataset',
        data_root='data/shapes_ov/',
        ann_file='annotations/panoptic_train.json',
        data_prefix=dict(img_path='train/', seg_map_path='annotations/panoptic_train/'),
        vocabulary='shapes_ov_panoptic_base',
        ignore_unknown=True,
        pipeline=train_pipeline,
    ),
)
