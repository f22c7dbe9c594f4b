"""CLIPSelf on EVA-02 CLIP ViT-B/16: teacher and student start from one file."""

model = dict(
    type='CLIPSelf',
    tower=dict(
        type='CLIPTower',
        model='EVA02-B-16',
        checkpoint='checkpoints/EVA02_CLIP_B_psz16_s8B.pt',
    ),
    unlocked_blocks=None,
    distill_loss=dict(type='CosineDistillLoss'),
    data_preprocessor=dict(type='RegionPreprocessor', image_size=1024, non_blocking=True),
    classifier=dict(
        vocabulary='coco_panoptic',
    ),
)
