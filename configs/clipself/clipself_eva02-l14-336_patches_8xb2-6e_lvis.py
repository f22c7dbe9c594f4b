"""CLIPSelf of EVA-02 CLIP ViT-L/14-336 with image patches on LVIS as the paper writes it.

    tools/dist_train.sh configs/clipself/clipself_eva02-l14-336_patches_8xb2-6e_lvis.py 8 --amp

No number is published for this combination.
"""

_base_ = [
    '../_base_/models/clipself_eva02-l14-336.py',
    '../_base_/datasets/patches_896-336_lvis.py',
    '../_base_/datasets/panoptic-val_896-336_coco.py',
    '../_base_/schedules/distill_6e_eva02.py',
    '../_base_/distill_runtime.py',
]
