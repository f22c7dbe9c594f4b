"""F-ViT on EVA-02 CLIP ViT-L/14-336 as published, on OV-COCO.

    tools/dist_train.sh configs/fvit/fvit_eva02-l14-336_original_8xb8-3e_ov-coco.py 8 --amp

Expected AP50 novel / base / all: 24.7 / 53.6 / 46.0 (paper, Table A5).
"""

_base_ = [
    '../_base_/models/fvit_eva02-l14-336_ov-coco.py',
    '../_base_/datasets/ov-coco_896.py',
    '../_base_/schedules/fvit_3e.py',
    '../_base_/detection_runtime.py',
]
