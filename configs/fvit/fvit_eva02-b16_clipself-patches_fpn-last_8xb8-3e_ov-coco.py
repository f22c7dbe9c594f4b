"""F-ViT whose pyramid is the last block at four scales, on OV-COCO.

    tools/dist_train.sh \
        configs/fvit/fvit_eva02-b16_clipself-patches_fpn-last_8xb8-3e_ov-coco.py 8 --amp

Expected AP50 novel / base / all: 26.5 / 47.0 / 41.6 (paper, Table A3, row 2).
"""

_base_ = './fvit_eva02-b16_clipself-patches_8xb8-3e_ov-coco.py'

model = dict(backbone=dict(out_indices=(11, 11, 11, 11)))
