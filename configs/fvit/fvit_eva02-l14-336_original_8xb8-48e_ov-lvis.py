"""F-ViT on EVA-02 CLIP ViT-L/14-336 as published, on OV-LVIS.

    tools/dist_train.sh configs/fvit/fvit_eva02-l14-336_original_8xb8-48e_ov-lvis.py 8 --amp

Expected mask AP rare / common / frequent / all: 24.2 / 27.9 / 31.5 / 28.7 (paper, Table A6).
"""

_base_ = [
    '../_base_/models/fvit_eva02-l14-336_ov-lvis.py',
    '../_base_/datasets/ov-lvis_896.py',
    '../_base_/schedules/fvit_48e.py',
    '../_base_/detection_runtime_ov-lvis.py',
]
