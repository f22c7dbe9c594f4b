"""F-ViT on OpenAI CLIP ViT-L/14-336 for OV-LVIS at 672 px (paper, Table A4)."""

_base_ = './fvit_eva02-l14-336_ov-lvis.py'

model = dict(
    data_preprocessor=dict(pad_size_divisor=672),
    backbone=dict(
        tower=dict(
            model='ViT-L-14-336-quickgelu',
            checkpoint='checkpoints/openai_vit-l-14-336.safetensors',
        ),
    ),
)
