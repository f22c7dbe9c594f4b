"""COCO panoptic val2017, 133 classes (paper, Tables 1 and 2); input 1024 px, crops 224 px."""

val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='PanopticRegions',
        data_root='data/coco/',
        ann_file='annotations/panoptic_val2017.json',
        data_prefix=dict(img='val2017/', seg='annotations/panoptic_val2017/'),
        vocabulary='coco_panoptic',
        test_mode=True,
        pipeline=[
            dict(type='LoadRGB'),
            dict(type='LoadSegments'),
            dict(type='AnnotatedRegions'),
            dict(type='CropRegions', size=224),
            dict(type='ResizeLongest', size=1024),
            dict(type='ResizeRegionMasks', patch_size=16),
            dict(type='PackRegions'),
        ],
    ),
)
val_evaluator = dict(type='RegionClassificationMetric')
test_dataloader = val_dataloader
test_evaluator = val_evaluator
