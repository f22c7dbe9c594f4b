"""F-ViT on OpenAI CLIP ViT-L/14-336 as published, on OV-LVIS.

    tools/dist_train.sh configs/fvit/fvit_openai-l14-336_original_8xb8-48e_ov-lvis.py 8 --amp

Expected mask AP rare / common / frequent / all: 10.7 / 19.6 / 26.3 / 20.7 (paper, Table A4).
"""

_base_ = [
    '../_base_/models/fvit_openai-l14-336_ov-lvis.py',
    '../_base_/datasets/ov-lvis_672.py',
    '../_base_/schedules/fvit_48e.py',
    '../_base_/detection_runtime_ov-lvis.py',
]
