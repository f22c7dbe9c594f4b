"""COCO panoptic val2017: PQ, mask AP of things and mIoU (paper, Table 6)."""

data_root = 'data/coco/'
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    dict(type='LoadPanopticAnnotations'),  # behind Resize: compared at the original size
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='OpenVocabPanopticDataset',
        data_root=data_root,
        ann_file='annotations/panoptic_val2017.json',
        data_prefix=dict(img='val2017/', seg='annotations/panoptic_val2017/'),
        vocabulary='coco_panoptic',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
val_evaluator = [
    dict(
        type='OpenVocabPanopticMetric',
        ann_file=data_root + 'annotations/panoptic_val2017.json',
        seg_prefix=data_root + 'annotations/panoptic_val2017/',
    ),
    dict(type='ThingMaskMetric', ann_file=data_root + 'annotations/instances_val2017.json'),
    dict(type='SemSegMetric', iou_metrics=['mIoU']),
]
test_dataloader = val_dataloader
test_evaluator = val_evaluator
