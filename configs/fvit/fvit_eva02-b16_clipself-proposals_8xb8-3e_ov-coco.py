"""F-ViT on EVA-02 CLIP ViT-B/16 refined by CLIPSelf with region proposals, on OV-COCO.

    tools/dist_train.sh configs/fvit/fvit_eva02-b16_clipself-proposals_8xb8-3e_ov-coco.py 8 --amp

Expected AP50 novel / base / all: 37.6 / 54.9 / 50.4 (paper, Table A5).
The tower is what configs/clipself/clipself_eva02-b16_proposals_8xb2-6e_coco.py leaves behind.
"""

_base_ = './fvit_eva02-b16_original_8xb8-3e_ov-coco.py'

tower = 'work_dirs/clipself_eva02-b16_proposals_8xb2-6e_coco/tower/open_clip_model.safetensors'
model = dict(backbone=dict(tower=dict(checkpoint=tower)))
