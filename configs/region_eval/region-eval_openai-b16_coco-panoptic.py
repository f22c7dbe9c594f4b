"""Region classification by the dense features of OpenAI CLIP ViT-B/16, COCO panoptic val2017.

    python tools/test.py configs/region_eval/region-eval_openai-b16_coco-panoptic.py

A refined tower is measured with ``--cfg-options model.tower.checkpoint=FILE``.
Expected top-1 of boxes / thing masks / stuff masks: 29.3 / 33.5 / 25.9 (paper, Table A2).
"""

_base_ = './region-eval_eva02-b16_coco-panoptic.py'

tower = dict(model='ViT-B-16-quickgelu', checkpoint='checkpoints/openai_vit-b-16.safetensors')
model = dict(tower=tower)
