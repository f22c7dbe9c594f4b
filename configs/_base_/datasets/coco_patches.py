"""Grid cells of COCO train2017 to distil, no box used; student 1024 px, teacher crops 224 px."""

train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='InfiniteSeededSampler'),
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
                regions=dict(type='GridRegions', max_split=6, max_regions=20),
            ),
            dict(type='CropRegions', size=224),
            dict(type='ResizeLongest', size=1024),
            dict(type='PackRegions'),
        ],
    ),
)
