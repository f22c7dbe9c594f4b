"""Regions to distil: COCO train2017, boxes unused; student 896 px, crops 336 px."""

train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DrawSampler', shuffle=True),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='ImageRegions',
        data_root='data/coco/',
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        pipeline=[
            dict(type='LoadRGB'),
            dict(
                type='SampleRegions',
                sampler=dict(type='GridRegions', max_split=6, max_regions=20),
            ),
            dict(type='CropRegions', size=336),
            dict(type='ResizeLongest', size=896),
            dict(type='PackRegions'),
        ],
    ),
)
