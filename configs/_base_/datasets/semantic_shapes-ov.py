"""Things and stuff of Shapes-OV val as 73 classes of semantic segmentation."""

test_pipeline = [
    dict(type='LoadImageFromFile'),
    # As distillation resizes: bicubic, antialiased, the longest side to the size.
    dict(
        type='Resize',
        scale=(128, 128),
        keep_ratio=True,
        backend='pillow',
        interpolation='bicubic',
    ),
    dict(type='LoadPanopticSemantic'),  # after Resize: metrics compare at the original size
    dict(type='PackSegInputs'),
]
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='PanopticSegDataset',
        data_root='data/shapes_ov/',
        ann_file='annotations/panoptic_val.json',
        data_prefix=dict(img_path='val/', seg_map_path='annotations/panoptic_val/'),
        vocabulary='shapes_ov_panoptic',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_dataloader = val_dataloader
test_evaluator = val_evaluator
