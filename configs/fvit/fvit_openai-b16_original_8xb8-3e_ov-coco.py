"""F-ViT on OpenAI CLIP ViT-B/16 as published, on OV-COCO.

    tools/dist_train.sh configs/fvit/fvit_openai-b16_original_8xb8-3e_ov-coco.py 8 --amp

Expected AP50 novel / base / all: 16.0 / 36.9 / 31.4 (paper, Table A4).
"""

_base_ = [
    '../_base_/models/fvit_openai-b16_ov-coco.py',
    '../_base_/datasets/ov-coco_640.py',
    '../_base_/schedules/fvit_3e.py',
    '../_base_/detection_runtime.py',
]
