"""F-ViT on OpenAI CLIP ViT-L/14-336 as published, on OV-COCO.

    tools/dist_train.sh configs/fvit/fvit_openai-l14-336_original_8xb8-3e_ov-coco.py 8 --amp

Expected AP50 novel / base / all: 9.2 / 44.3 / 35.2 (paper, Table A4).
"""

_base_ = [
    '../_base_/models/fvit_openai-l14-336_ov-coco.py',
    '../_base_/datasets/ov-coco_672.py',
    '../_base_/schedules/fvit_3e.py',
    '../_base_/detection_runtime.py',
]
