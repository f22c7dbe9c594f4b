"""DeCLIP (arXiv 2505.04410) of EVA-02 CLIP ViT-B/16 with image patches on LVIS' images.

    tools/dist_train.sh configs/clipself/declip_eva02-b16_patches_8xb2-6e_lvis.py 8 --amp

Expected: not measured yet. As on COCO; for OV-LVIS, whose validation images COCO trains on.
"""

_base_ = [
    '../_base_/models/declip_eva02-b16.py',
    '../_base_/datasets/patches_1024-224_lvis.py',
    '../_base_/datasets/panoptic-val_1024-224_coco.py',
    '../_base_/schedules/distill_6e_eva02.py',
    '../_base_/distill_runtime.py',
]
