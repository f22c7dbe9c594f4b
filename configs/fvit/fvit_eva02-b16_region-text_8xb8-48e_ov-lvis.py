"""F-ViT on EVA-02 CLIP ViT-B/16 refined with region-text pairs, on OV-LVIS.

    tools/dist_train.sh configs/fvit/fvit_eva02-b16_region-text_8xb8-48e_ov-lvis.py 8 --amp

No number is published for this combination.
The tower is what configs/region_text/region-text_eva02-b16_8xb2-6e_lvis.py leaves behind; a
tower of the authors' release serves as well.
"""

_base_ = './fvit_eva02-b16_original_8xb8-48e_ov-lvis.py'

tower = 'work_dirs/region-text_eva02-b16_8xb2-6e_lvis/tower/open_clip_model.safetensors'
model = dict(backbone=dict(tower=dict(checkpoint=tower)))
