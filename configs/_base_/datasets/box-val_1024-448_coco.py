"""Boxes of COCO val2017's 80 classes (paper, Figure A1); input 1024 px, crops 448 px."""

val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='BoxRegions',
        data_root='data/coco/',
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017/'),
        vocabulary='coco',
        test_mode=True,
        pipeline=[
            dict(type='LoadRGB'),
            dict(type='AnnotatedRegions'),
            dict(type='CropRegions', size=448),
            dict(type='ResizeLongest', size=1024),
            dict(type='PackRegions'),
        ],
    ),
)
val_evaluator = dict(type='RegionClassificationMetric')
test_dataloader = val_dataloader
test_evaluator = val_evaluator
