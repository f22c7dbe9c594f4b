"""F-ViT on OpenAI CLIP ViT-B/16 refined with object regions, on OV-LVIS at 640 px.

    tools/dist_train.sh configs/fvit/fvit_openai-b16_objects_8xb8-48e_ov-lvis.py 8 --amp

As fvit_openai-b16_8xb8-48e_ov-lvis.py, with the tower of
configs/clipself/clipself_openai-b16_objects_1xb2-38k_lvis.py.
Expected: not measured on LVIS, nor on COCO.
"""

_base_ = './fvit_openai-b16_8xb8-48e_ov-lvis.py'

tower = 'work_dirs/clipself_openai-b16_objects_1xb2-38k_lvis/tower/open_clip_model.safetensors'
model = dict(backbone=dict(tower=dict(checkpoint=tower)))
