"""F-ViT on EVA-02 CLIP ViT-B/16 refined by CLIPSelf with image patches, on OV-LVIS.

    tools/dist_train.sh configs/fvit/fvit_eva02-b16_clipself-patches_8xb8-48e_ov-lvis.py 8 --amp

Expected mask AP rare / common / frequent / all: 25.3 / 21.8 / 29.1 / 25.2 (paper, Table A6).
The tower is what configs/clipself/clipself_eva02-b16_patches_8xb2-6e_lvis.py leaves behind.
"""

_base_ = './fvit_eva02-b16_original_8xb8-48e_ov-lvis.py'

tower = 'work_dirs/clipself_eva02-b16_patches_8xb2-6e_lvis/tower/open_clip_model.safetensors'
model = dict(backbone=dict(tower=dict(checkpoint=tower)))
