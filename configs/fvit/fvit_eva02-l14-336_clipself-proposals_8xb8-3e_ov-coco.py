"""F-ViT on EVA-02 CLIP ViT-L/14-336 refined by CLIPSelf with region proposals, on OV-COCO.

    tools/dist_train.sh \
        configs/fvit/fvit_eva02-l14-336_clipself-proposals_8xb8-3e_ov-coco.py 8 --amp

Expected AP50 novel / base / all: 44.3 / 64.1 / 59.0 (paper, Table A5).
The tower is what configs/clipself/clipself_eva02-l14-336_proposals_8xb2-6e_coco.py leaves behind.
"""

_base_ = './fvit_eva02-l14-336_original_8xb8-3e_ov-coco.py'

tower = 'work_dirs/clipself_eva02-l14-336_proposals_8xb2-6e_coco/tower/open_clip_model.safetensors'
model = dict(backbone=dict(tower=dict(checkpoint=tower)))
