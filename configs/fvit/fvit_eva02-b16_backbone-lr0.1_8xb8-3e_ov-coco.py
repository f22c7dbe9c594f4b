"""F-ViT whose tower trains too, at 0.1 of the learning rate, on OV-COCO.

    tools/dist_train.sh configs/fvit/fvit_eva02-b16_backbone-lr0.1_8xb8-3e_ov-coco.py 8 --amp

Expected AP50 novel / base / all: 21.8 / 58.6 / 48.8 (paper, Table A3, row 5); 31.1 / 56.6 / 49.9 at
0.01 (row 4), which is ``--cfg-options optim_wrapper.paramwise_cfg.custom_keys.tower.lr_mult=0.01``.
"""

_base_ = './fvit_eva02-b16_8xb8-3e_ov-coco.py'

model = dict(backbone=dict(frozen=False))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'tower': dict(lr_mult=0.1)}))
