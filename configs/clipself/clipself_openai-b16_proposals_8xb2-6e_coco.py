"""CLIPSelf of OpenAI CLIP ViT-B/16 with region proposals on COCO as the paper writes it.

    tools/dist_train.sh configs/clipself/clipself_openai-b16_proposals_8xb2-6e_coco.py 8 --amp

No number is published for this combination.
"""

_base_ = [
    '../_base_/models/clipself_openai-b16.py',
    '../_base_/datasets/proposals_1024-224_coco.py',
    '../_base_/datasets/panoptic-val_1024-224_coco.py',
    '../_base_/schedules/distill_6e_openai.py',
    '../_base_/distill_runtime.py',
]
