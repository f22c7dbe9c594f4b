"""CLIPSelf on OpenAI CLIP ViT-B/16: teacher and student start from one file."""

model = dict(
    type='CLIPSelf',
    tower=dict(
        type='CLIPTower',
        model='ViT-B-16-quickgelu',
        checkpoint='checkpoints/openai_vit-b-16.safetensors',
    ),
    unlocked_blocks=None,
    distill_loss=dict(type='CosineDistillLoss'),
    data_preprocessor=dict(type='RegionPreprocessor', image_size=1024),
    classifier=dict(
        vocabulary='coco_panoptic',
        text=dict(model='ViT-B-16-quickgelu', checkpoint='checkpoints/openai_vit-b-16.safetensors'),
    ),
)
custom_hooks = [dict(type='WeightEnsembleHook', alpha=0.7)]
