"""CLIPSelf of OpenAI CLIP ViT-L/14-336 with image patches on COCO: one GPU, 44,358 steps.

    python tools/train.py \
        configs/clipself/clipself_openai-l14-336_patches_1xb2-44k_coco.py --amp

The published weights were made so (README.md). Expected top-1 of
boxes / thing masks / stuff masks: 68.9 / 70.0 / 35.5 (paper, Table A2).

Student size 672 and the last 12 blocks are what the authors advise for this tower ("only the last 6
or 12", wusize/CLIPSelf, issue 25); which of the two Table A2 had is not known.
"""

_base_ = './clipself_eva02-b16_patches_1xb2-44k_coco.py'

tower = dict(
    model='ViT-L-14-336-quickgelu', checkpoint='checkpoints/openai_vit-l-14-336.safetensors'
)
student_size, crop_size, patch_size = 672, 336, 14
model = dict(
    tower=dict(**tower, activation_checkpointing=True),
    unlocked_blocks=12,
    data_preprocessor=dict(image_size=student_size),
)
optim_wrapper = dict(optimizer=dict(betas=(0.9, 0.98), eps=1e-6))
default_hooks = dict(weight_ensemble=dict(alpha=0.95))
_base_.train_dataloader.dataset.pipeline[2].size = crop_size
_base_.train_dataloader.dataset.pipeline[3].size = student_size
_base_.val_dataloader.dataset.pipeline[3].size = crop_size
_base_.val_dataloader.dataset.pipeline[4].size = student_size
_base_.val_dataloader.dataset.pipeline[5].patch_size = patch_size
test_dataloader = _base_.val_dataloader
