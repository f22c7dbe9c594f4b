"""CLIPSelf of EVA-02 CLIP ViT-B/16 with image patches on COCO: one GPU, 44,358 steps.

    python tools/train.py \
        configs/clipself/clipself_eva02-b16_patches_1xb2-44k_coco.py --amp

The published weights were made so (README.md). Expected top-1 of
boxes / thing masks / stuff masks: 72.1 / 74.4 / 46.8 (paper, Table 2).

On 8 GPUs the same file is the paper's text, 44,358 steps of 8 x 2 images with gradients
synchronised; clipself_eva02-b16_patches_8xb2-6e_coco.py says that in epochs.
"""

_base_ = [
    '../_base_/models/clipself_eva02-b16.py',
    '../_base_/datasets/coco_patches.py',
    '../_base_/datasets/coco_panoptic-val.py',
    '../_base_/schedules/distill_44k.py',
]
