"""ADE20K panoptic validation, prepared as for mmdet: PQ, mask AP of things and mIoU (Table 6)."""

data_root = 'data/ADEChallengeData2016/'
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(2560, 640), keep_ratio=True),
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
        ann_file='ade20k_panoptic_val.json',
        data_prefix=dict(img='images/validation/', seg='ade20k_panoptic_val/'),
        vocabulary='ADE20KPanopticDataset',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
val_evaluator = [
    dict(
        type='OpenVocabPanopticMetric',
        ann_file=data_root + 'ade20k_panoptic_val.json',
        seg_prefix=data_root + 'ade20k_panoptic_val/',
    ),
    dict(type='ThingMaskMetric', ann_file=data_root + 'ade20k_instance_val.json'),
    dict(type='SemSegMetric', iou_metrics=['mIoU']),
]
test_dataloader = val_dataloader
test_evaluator = val_evaluator
