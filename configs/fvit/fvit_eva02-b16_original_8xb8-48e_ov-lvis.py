"""F-ViT on EVA-02 CLIP ViT-B/16 as published, on OV-LVIS.

    tools/dist_train.sh configs/fvit/fvit_eva02-b16_original_8xb8-48e_ov-lvis.py 8 --amp

Expected mask AP rare / common / frequent / all: 11.5 / 12.3 / 20.6 / 15.4 (paper, Table A6).
"""

_base_ = [
    '../_base_/models/fvit_eva02-b16_ov-lvis.py',
    '../_base_/datasets/ov-lvis_1024.py',
    '../_base_/schedules/fvit_48e.py',
    '../_base_/detection_runtime_ov-lvis.py',
]
