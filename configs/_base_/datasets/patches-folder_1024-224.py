"""Regions to distil: any pictures below ``data/images``; student 1024 px, crops 224 px."""

train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DrawSampler', shuffle=True),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='UnlabelledImages',
        source='data/images',
        on_bad_image='skip',
        pipeline=[
            dict(type='LoadRGB', exif='apply'),  # no box says how the photo lies
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
