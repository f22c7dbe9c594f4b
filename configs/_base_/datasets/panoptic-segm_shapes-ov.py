"""Shapes-OV for panoptic segmentation: base things and stuff to train, novel things are void."""

_base_ = './panoptic-segm-val_shapes-ov.py'

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadPanopticAnnotations'),
    dict(type='RandomResize', scale=(128, 128), ratio_range=(0.8, 1.25), keep_ratio=True),
    dict(
        type='RandomCrop',
        crop_type='absolute',
        crop_size=(128, 128),
        recompute_bbox=True,
        allow_negative_crop=True,
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='OpenVocabPanopticDataset',
        data_root='data/shapes_ov/',
        ann_file='annotations/panoptic_train.json',
        data_prefix=dict(img='train/', seg='annotations/panoptic_train/'),
        vocabulary='shapes_ov_panoptic_base',
        ignore_unknown=True,
        pipeline=train_pipeline,
    ),
)
