"""Regions to distil on Shapes-OV: grid patches, boxes unused."""

train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='SeededSampler', shuffle=True),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='ImageRegions',
        data_root='data/shapes_ov/',
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train/'),
        pipeline=[
            dict(type='LoadRGB'),
            dict(
                type='SampleRegions',
                regions=dict(type='GridRegions', max_split=6, max_regions=20),
            ),
            dict(type='CropRegions', size=64),
            dict(type='ResizeLongest', size=128),
            dict(type='PackRegions'),
        ],
    ),
)
