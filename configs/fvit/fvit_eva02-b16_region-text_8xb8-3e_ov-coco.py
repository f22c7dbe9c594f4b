"""F-ViT on EVA-02 CLIP ViT-B/16 refined with region-text pairs, on OV-COCO.

    tools/dist_train.sh configs/fvit/fvit_eva02-b16_region-text_8xb8-3e_ov-coco.py 8 --amp

Expected AP50 novel / base / all: 34.4 / 54.2 / 49.0 (paper, Table A5).
The tower is what configs/region_text/region-text_eva02-b16_8xb2-6e_coco.py leaves behind; a
tower of the authors' release serves as well.
"""

_base_ = './fvit_eva02-b16_original_8xb8-3e_ov-coco.py'

tower = 'work_dirs/region-text_eva02-b16_8xb2-6e_coco/tower/open_clip_model.safetensors'
model = dict(backbone=dict(tower=dict(checkpoint=tower)))
