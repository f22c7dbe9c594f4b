"""The region-text baseline on EVA-02 CLIP ViT-L/14-336; the nouns are LVIS's class names."""

model = dict(
    type='RegionText',
    tower=dict(
        type='CLIPTower',
        model='EVA02-L-14-336',
        checkpoint='checkpoints/EVA02_CLIP_L_336_psz14_s6B.pt',
        activation_checkpointing=True,
    ),
    nouns=dict(
        vocabulary='ov_lvis',
        text=dict(model='EVA02-L-14-336', checkpoint='checkpoints/EVA02_CLIP_L_336_psz14_s6B.pt'),
    ),
    unlocked_blocks=None,
    region_text_loss=dict(type='RegionTextLoss', num_sampled=100),
    data_preprocessor=dict(type='RegionPreprocessor', image_size=896),
    classifier=dict(
        vocabulary='coco_panoptic',
        text=dict(model='EVA02-L-14-336', checkpoint='checkpoints/EVA02_CLIP_L_336_psz14_s6B.pt'),
    ),
)
custom_hooks = [dict(type='WeightEnsembleHook', alpha=0.95)]
