"""CLIPSelf of OpenAI CLIP ViT-B/16 with image patches on COCO, the schedule as the paper writes it.

    tools/dist_train.sh configs/clipself/clipself_openai-b16_patches_8xb2-6e_coco.py 8 --amp

Expected top-1 of boxes / stuff masks: 67.4 / 43.4 (paper, Table A2).
"""

_base_ = [
    '../_base_/models/clipself_openai-b16.py',
    '../_base_/datasets/patches_1024-224_coco.py',
    '../_base_/datasets/panoptic-val_1024-224_coco.py',
    '../_base_/schedules/distill_6e_openai.py',
    '../_base_/distill_runtime.py',
]
