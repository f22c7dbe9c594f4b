"""CLIPSelf of OpenAI CLIP ViT-B/16 with image patches on COCO: one GPU, 44,358 steps.

    python tools/train.py \
        configs/clipself/clipself_openai-b16_patches_1xb2-44k_coco.py --amp

The published weights were made so (README.md). Expected top-1 of
boxes / thing masks / stuff masks: 67.4 / 69.4 / 43.4 (paper, Table A2).
"""

_base_ = './clipself_eva02-b16_patches_1xb2-44k_coco.py'

tower = dict(model='ViT-B-16-quickgelu', checkpoint='checkpoints/openai_vit-b-16.safetensors')
model = dict(tower=tower)
optim_wrapper = dict(optimizer=dict(betas=(0.9, 0.98), eps=1e-6))
