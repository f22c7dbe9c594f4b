"""Region-text pairs of Shapes-OV, written by configs/shapes/pseudo-labels_tiny_shapes-ov.py."""

train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DrawSampler', shuffle=True),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='RegionTextPairs',
        data_root='data/shapes_ov/',
        ann_file='annotations/rpn_pseudo_73.json',
        data_prefix=dict(img='train/'),
        vocabulary='shapes_ov_panoptic',
        pipeline=[
            dict(type='LoadRGB'),
            dict(
                type='SampleRegions',
                sampler=dict(
                    type='ProposalRegions',
                    min_size=8,
                    max_size=1024,
                    max_regions=10,
                    fallback=False,
                ),
            ),
            dict(type='ResizeLongest', size=128),
            dict(type='PackRegions'),
        ],
    ),
)
