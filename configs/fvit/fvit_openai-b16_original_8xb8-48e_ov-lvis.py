"""F-ViT on OpenAI CLIP ViT-B/16 as published, on OV-LVIS.

    tools/dist_train.sh configs/fvit/fvit_openai-b16_original_8xb8-48e_ov-lvis.py 8 --amp

Expected mask AP rare / common / frequent / all: 8.3 / 11.4 / 19.7 / 14.1 (paper, Table A4).
"""

_base_ = [
    '../_base_/models/fvit_openai-b16_ov-lvis.py',
    '../_base_/datasets/ov-lvis_640.py',
    '../_base_/schedules/fvit_48e.py',
    '../_base_/detection_runtime_ov-lvis.py',
]
