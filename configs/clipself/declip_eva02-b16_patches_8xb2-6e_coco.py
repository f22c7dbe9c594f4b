"""DeCLIP (arXiv 2505.04410) of EVA-02 CLIP ViT-B/16 with image patches on COCO.

    tools/dist_train.sh configs/clipself/declip_eva02-b16_patches_8xb2-6e_coco.py 8 --amp

Expected: not measured yet. Losses and lambda 0.25 are its paper's, all else is CLIPSelf's; its
scripts take lambda 0.1 and 560 px. A detector on this tower needs the same ``last_block``:
docs/after-the-paper.md.
"""

_base_ = [
    '../_base_/models/declip_eva02-b16.py',
    '../_base_/datasets/patches_1024-224_coco.py',
    '../_base_/datasets/panoptic-val_1024-224_coco.py',
    '../_base_/schedules/distill_6e_eva02.py',
    '../_base_/distill_runtime.py',
]
