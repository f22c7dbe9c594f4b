"""Things and stuff of Shapes-OV val to classify, as COCO panoptic is in the paper's Table 2."""

val_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='PanopticRegions',
        data_root='data/shapes_ov/',
        ann_file='annotations/panoptic_val.json',
        data_prefix=dict(img='val/', seg='annotations/panoptic_val/'),
        vocabulary='shapes_ov_panoptic',
        test_mode=True,
        pipeline=[
            dict(type='LoadRGB'),
            dict(type='LoadSegments'),
            dict(type='AnnotatedRegions'),
            dict(type='CropRegions', size=64),
            dict(type='ResizeLongest', size=128),
            dict(type='ResizeRegionMasks', patch_size=8),
            dict(type='PackRegions'),
        ],
    ),
)
val_evaluator = dict(type='RegionClassificationMetric')
test_dataloader = val_dataloader
test_evaluator = val_evaluator
