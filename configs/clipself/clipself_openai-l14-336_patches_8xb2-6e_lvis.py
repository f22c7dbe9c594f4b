"""CLIPSelf of OpenAI CLIP ViT-L/14-336 with image patches on LVIS, scheduled as in the paper.

    tools/dist_train.sh configs/clipself/clipself_openai-l14-336_patches_8xb2-6e_lvis.py 8 --amp

No number is published for this combination.
"""

_base_ = [
    '../_base_/models/clipself_openai-l14-336.py',
    '../_base_/datasets/patches_672-336_lvis.py',
    '../_base_/datasets/panoptic-val_672-336_coco.py',
    '../_base_/schedules/distill_6e_openai.py',
    '../_base_/distill_runtime.py',
]
