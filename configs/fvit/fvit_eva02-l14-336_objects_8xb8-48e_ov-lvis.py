"""F-ViT on EVA-02 CLIP ViT-L/14-336 refined with object regions, on OV-LVIS.

    tools/dist_train.sh configs/fvit/fvit_eva02-l14-336_objects_8xb8-48e_ov-lvis.py 8 --amp

As fvit_eva02-l14-336_8xb8-48e_ov-lvis.py, with the tower of
configs/clipself/clipself_eva02-l14-336_objects_1xb2-38k_lvis.py.
Expected: not measured on LVIS, nor on COCO.
"""

_base_ = './fvit_eva02-l14-336_8xb8-48e_ov-lvis.py'

tower = 'work_dirs/clipself_eva02-l14-336_objects_1xb2-38k_lvis/tower/open_clip_model.safetensors'
model = dict(backbone=dict(tower=dict(checkpoint=tower)))
