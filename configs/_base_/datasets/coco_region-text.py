"""Region-text pairs of COCO train2017: the authors' file, which holds its nouns; 1024 px."""

train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='InfiniteSeededSampler'),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='RegionTextPairs',
        data_root='data/coco/',
        ann_file='annotations/coco_pseudo_4764.json',
        data_prefix=dict(img='train2017/'),
        pipeline=[
            dict(type='LoadRGB'),
            dict(
                type='SampleRegions',
                regions=dict(
                    type='ProposalRegions',
                    shuffle=False,
                    min_size=0,
                    max_size=None,
                    max_regions=20,
                    fallback=False,
                ),
            ),
            dict(type='ResizeLongest', size=1024),
            dict(type='PackRegions'),
        ],
    ),
)
