"""CLIPSelf of EVA-02 CLIP ViT-B/16 with region proposals on COCO as the paper writes it.

    tools/dist_train.sh configs/clipself/clipself_eva02-b16_proposals_8xb2-6e_coco.py 8 --amp

Expected top-1 of boxes / stuff masks: 74.0 / 36.8 (paper, Table 2).
"""

_base_ = [
    '../_base_/models/clipself_eva02-b16.py',
    '../_base_/datasets/proposals_1024-224_coco.py',
    '../_base_/datasets/panoptic-val_1024-224_coco.py',
    '../_base_/schedules/distill_6e_eva02.py',
    '../_base_/distill_runtime.py',
]
