"""The region-text baseline on the tiny CLIP; the nouns are what Shapes-OV's captions name."""

model = dict(
    type='RegionText',
    tower=dict(type='CLIPTower', model='pkg:clipself_mm.shapes/tiny_clip'),
    nouns=dict(
        vocabulary='shapes_ov_panoptic',
        text=dict(model='pkg:clipself_mm.shapes/tiny_clip'),
    ),
    unlocked_blocks=None,
    region_text_loss=dict(type='RegionTextLoss', num_sampled=100),
    data_preprocessor=dict(type='RegionPreprocessor', image_size=128),
    classifier=dict(
        vocabulary='shapes_ov_panoptic',
        text=dict(model='pkg:clipself_mm.shapes/tiny_clip'),
    ),
)
