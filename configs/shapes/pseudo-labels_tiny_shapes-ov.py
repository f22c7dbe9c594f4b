"""Gives proposals on Shapes-OV the nouns of its captions (paper, section A.4), in miniature.

    python tools/test.py configs/shapes/rpn_tiny_shapes-ov.py CHECKPOINT
    python tools/test.py configs/shapes/pseudo-labels_tiny_shapes-ov.py

The first command writes the proposals of an F-ViT trained on base classes, the second the pairs
that region-text_tiny_shapes-ov.py trains with. 98% of those on objects name their object (measured
here; docs/reproduce.md).
"""

_base_ = '../_base_/distill_runtime.py'

model = dict(
    type='RegionPseudoLabeler',
    tower=dict(type='CLIPTower', model='pkg:clipself_mm.shapes/tiny_clip'),
    nouns=dict(
        vocabulary='shapes_ov_panoptic',
    ),
    data_preprocessor=dict(type='RegionPreprocessor', image_size=64),
)
test_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='CaptionedRegions',
        data_root='data/shapes_ov/',
        ann_file='annotations/rpn_proposals.json',
        caption_file='annotations/captions_train.json',
        data_prefix=dict(img='train/'),
        vocabulary='shapes_ov_panoptic',
        test_mode=True,
        pipeline=[
            dict(type='LoadRGB'),
            dict(type='AnnotatedRegions'),
            dict(type='CropRegions', size=64),
            dict(type='ResizeLongest', size=64),
            dict(type='PackRegions'),
        ],
    ),
)
test_evaluator = dict(
    type='RegionTextJsonWriter',
    out_file='data/shapes_ov/annotations/rpn_pseudo_73.json',
)
test_cfg = dict(type='ResumableTestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=4)
