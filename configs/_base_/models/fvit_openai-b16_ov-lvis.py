"""F-ViT on OpenAI CLIP ViT-B/16 for OV-LVIS, at 640 px here too (paper, Table A4)."""

_base_ = './fvit_eva02-b16_ov-lvis.py'

model = dict(
    data_preprocessor=dict(pad_size_divisor=640),
    backbone=dict(
        tower=dict(
            model='ViT-B-16-quickgelu', checkpoint='checkpoints/openai_vit-b-16.safetensors'
        ),
    ),
)
