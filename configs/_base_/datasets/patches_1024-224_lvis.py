"""Regions to distil: LVIS v1 train, boxes unused; student 1024 px, crops 224 px."""

train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DrawSampler', shuffle=True),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='ImageRegions',
        data_root='data/lvis_v1/',
        ann_file='annotations/lvis_v1_train.json',
        data_prefix=dict(img=''),
        pipeline=[
            dict(type='LoadRGB'),
            dict(
                type='SampleRegions',
                sampler=dict(type='GridRegions', max_split=6, max_regions=20),
            ),
            dict(type='CropRegions', size=224),
            dict(type='ResizeLongest', size=1024),
            dict(type='PackRegions'),
        ],
    ),
)
