"""F-ViT on EVA-02 CLIP ViT-B/16 as published, on OV-COCO.

    tools/dist_train.sh configs/fvit/fvit_eva02-b16_original_8xb8-3e_ov-coco.py 8 --amp

Expected AP50 novel / base / all: 17.5 / 41.0 / 34.9 (paper, Table A5, where OV-RCNN
has the very same three).
"""

_base_ = [
    '../_base_/models/fvit_eva02-b16_ov-coco.py',
    '../_base_/datasets/ov-coco_640.py',
    '../_base_/schedules/fvit_3e.py',
    '../_base_/detection_runtime.py',
]
