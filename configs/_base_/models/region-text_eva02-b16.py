"""The region-text baseline on EVA-02 CLIP ViT-B/16; the nouns are LVIS's class names."""

model = dict(
    type='RegionText',
    tower=dict(
        type='CLIPTower',
        model='EVA02-B-16',
        checkpoint='checkpoints/EVA02_CLIP_B_psz16_s8B.pt',
    ),
    nouns=dict(
        vocabulary='ov_lvis',
        text=dict(model='EVA02-B-16', checkpoint='checkpoints/EVA02_CLIP_B_psz16_s8B.pt'),
    ),
    unlocked_blocks=None,
    region_text_loss=dict(type='RegionTextLoss', num_sampled=100),
    data_preprocessor=dict(type='RegionPreprocessor', image_size=1024),
    classifier=dict(
        vocabulary='coco_panoptic',
        text=dict(model='EVA02-B-16', checkpoint='checkpoints/EVA02_CLIP_B_psz16_s8B.pt'),
    ),
)
custom_hooks = [dict(type='WeightEnsembleHook', alpha=0.7)]
