"""Regions to distil: COCO train2017 with RPN proposals; student 672 px, crops 336 px."""

train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DrawSampler', shuffle=True),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='ImageRegions',
        data_root='data/coco/',
        ann_file='annotations/coco_proposals.json',
        data_prefix=dict(img='train2017/'),
        pipeline=[
            dict(type='LoadRGB'),
            dict(
                type='SampleRegions',
                sampler=dict(
                    type='ProposalRegions',
                    min_size=8,
                    max_size=1024,
                    max_regions=20,
                    crop_scale=1.5,
                ),
            ),
            dict(type='CropRegions', size=336),
            dict(type='ResizeLongest', size=672),
            dict(type='PackRegions'),
        ],
    ),
)
