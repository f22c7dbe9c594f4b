"""CLIPSelf on EVA-02 CLIP ViT-L/14-336: teacher and student start from one file."""

model = dict(
    type='CLIPSelf',
    tower=dict(
        type='CLIPTower',
        model='EVA02-L-14-336',
        checkpoint='checkpoints/EVA02_CLIP_L_336_psz14_s6B.pt',
        activation_checkpointing=True,
    ),
    unlocked_blocks=None,
    distill_loss=dict(type='CosineDistillLoss'),
    data_preprocessor=dict(type='RegionPreprocessor', image_size=896),
    classifier=dict(
        vocabulary='coco_panoptic',
        text=dict(model='EVA02-L-14-336', checkpoint='checkpoints/EVA02_CLIP_L_336_psz14_s6B.pt'),
    ),
)
custom_hooks = [dict(type='WeightEnsembleHook', alpha=0.95)]
