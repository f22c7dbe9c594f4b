"""CLIPSelf of EVA-02 CLIP ViT-L/14-336 with image patches on COCO: one GPU, 44,358 steps.

    python tools/train.py \
        configs/clipself/clipself_eva02-l14-336_patches_1xb2-44k_coco.py --amp

The published weights were made so (README.md). Expected top-1 of
boxes / thing masks / stuff masks: 77.1 / 78.7 / 44.4 (paper, Table A2).
"""

_base_ = './clipself_eva02-b16_patches_1xb2-44k_coco.py'

tower = dict(model='EVA02-L-14-336', checkpoint='checkpoints/EVA02_CLIP_L_336_psz14_s6B.pt')
student_size, crop_size, patch_size = 896, 336, 14
model = dict(
    tower=dict(**tower, activation_checkpointing=True),
    data_preprocessor=dict(image_size=student_size),
)
default_hooks = dict(weight_ensemble=dict(alpha=0.95))
_base_.train_dataloader.dataset.pipeline[2].size = crop_size
_base_.train_dataloader.dataset.pipeline[3].size = student_size
_base_.val_dataloader.dataset.pipeline[3].size = crop_size
_base_.val_dataloader.dataset.pipeline[4].size = student_size
_base_.val_dataloader.dataset.pipeline[5].patch_size = patch_size
test_dataloader = _base_.val_dataloader
