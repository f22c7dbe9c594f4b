"""Things and stuff of Shapes-OV val for panoptic segmentation: PQ, mask AP and mIoU of Table 6."""

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(128, 128), keep_ratio=True),
    dict(type='LoadPanopticAnnotations'),  # behind Resize: compared at the original size
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
val_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='OpenVocabPanopticDataset',
        data_root='data/shapes_ov/',
        ann_file='annotations/panoptic_val.json',
        data_prefix=dict(img='val/', seg='annotations/panoptic_val/'),
        vocabulary='shapes_ov_panoptic',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
val_evaluator = [
    dict(
        type='OpenVocabPanopticMetric',
        ann_file='data/shapes_ov/annotations/panoptic_val.json',
        seg_prefix='data/shapes_ov/annotations/panoptic_val/',
        seen='shapes_ov_panoptic_base',
    ),
    dict(
        type='ThingMaskMetric',
        ann_file='data/shapes_ov/annotations/instances_val.json',
        seen='shapes_ov_panoptic_base',
    ),
]
test_dataloader = val_dataloader
test_evaluator = val_evaluator
