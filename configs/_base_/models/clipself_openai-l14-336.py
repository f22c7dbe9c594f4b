"""CLIPSelf on OpenAI CLIP ViT-L/14-336: teacher and student start from one file.

Student size 672 and 12 unlocked blocks are what the authors advise for this tower (wusize/CLIPSelf,
issue 25).
"""

model = dict(
    type='CLIPSelf',
    tower=dict(
        type='CLIPTower',
        model='ViT-L-14-336-quickgelu',
        checkpoint='checkpoints/openai_vit-l-14-336.safetensors',
        activation_checkpointing=True,
    ),
    unlocked_blocks=12,
    distill_loss=dict(type='CosineDistillLoss'),
    data_preprocessor=dict(type='RegionPreprocessor', image_size=672),
    classifier=dict(
        vocabulary='coco_panoptic',
        text=dict(
            model='ViT-L-14-336-quickgelu', checkpoint='checkpoints/openai_vit-l-14-336.safetensors'
        ),
    ),
)
custom_hooks = [dict(type='WeightEnsembleHook', alpha=0.95)]
