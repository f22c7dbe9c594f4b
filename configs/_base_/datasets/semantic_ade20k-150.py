"""ADE20K-150 val (2,000 images) at 1024 px; mmseg prepares the data."""

test_pipeline = [
    dict(type='LoadImageFromFile'),
    # As distillation resizes: bicubic, antialiased, the longest side to the size.
    dict(
        type='Resize',
        scale=(1024, 1024),
        keep_ratio=True,
        backend='pillow',
        interpolation='bicubic',
    ),
    dict(type='LoadAnnotations'),  # after Resize: metrics compare at the original size
    dict(type='PackSegInputs'),
]
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CheckedADE20KDataset',
        data_root='data/ade/ADEChallengeData2016',
        data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_dataloader = val_dataloader
test_evaluator = val_evaluator
