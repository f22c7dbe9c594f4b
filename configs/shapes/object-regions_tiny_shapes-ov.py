"""Boxes of objects in the training scenes of Shapes-OV, found by the frozen tiny CLIP.

    python tools/make_shapes_ov.py
    python tools/test.py configs/shapes/object-regions_tiny_shapes-ov.py

No label is read: `instances_train.json` gives the list of images only.
"""

_base_ = '../_base_/distill_runtime.py'

model = dict(
    type='ObjectRegions',
    tower=dict(type='CLIPTower', model='pkg:clipself_mm.shapes/tiny_clip'),
    data_preprocessor=dict(type='RegionPreprocessor', image_size=128),
)
test_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='ImageRegions',
        data_root='data/shapes_ov/',
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train/'),
        test_mode=True,
        pipeline=[
            dict(type='LoadRGB'),
            dict(type='SampleRegions', regions=dict(type='GridRegions', max_split=1)),
            dict(type='ResizeLongest', size=128),
            dict(type='PackRegions'),
        ],
    ),
)
test_evaluator = dict(
    type='ProposalJsonWriter',
    out_file='data/shapes_ov/annotations/object_regions.json',
    max_per_img=10,
)
test_cfg = dict(type='ResumableTestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=4)
