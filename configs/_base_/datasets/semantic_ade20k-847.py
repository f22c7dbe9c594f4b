"""ADE20K-847 val at 1024 px, labels and names written by tools/convert_ade847.py."""

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
    dict(type='LoadUint16Labels', num_classes=847),  # behind Resize: compared at the original size
    dict(type='PackSegInputs'),
]
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ADE847Dataset',
        data_root='data/ADE20K_2021_17_01',
        data_prefix=dict(
            img_path='images/ADE/validation', seg_map_path='annotations_847/validation'
        ),
        classes_file='data/ADE20K_2021_17_01/ade847.json',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'], ignore_index=65535)
test_dataloader = val_dataloader
test_evaluator = val_evaluator
