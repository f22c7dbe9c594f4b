"""CLIPSelf on the tiny CLIP that ships with the package; found from any folder."""

model = dict(
    type='CLIPSelf',
    tower=dict(type='CLIPTower', model='pkg:clipself_mm.shapes/tiny_clip'),
    unlocked_blocks=None,
    distill_loss=dict(type='CosineDistillLoss'),
    data_preprocessor=dict(type='RegionPreprocessor', image_size=128),
    classifier=dict(
        vocabulary='shapes_ov_panoptic',
    ),
)
