"""F-ViT on OpenAI CLIP ViT-B/16 for OV-COCO at 640 px (paper, Table A4)."""

_base_ = './fvit_eva02-b16_ov-coco.py'

model = dict(
    backbone=dict(
        tower=dict(
            model='ViT-B-16-quickgelu', checkpoint='checkpoints/openai_vit-b-16.safetensors'
        ),
    ),
)
