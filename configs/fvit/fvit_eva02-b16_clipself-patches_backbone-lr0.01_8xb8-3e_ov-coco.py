"""F-ViT whose tower trains too, at 0.01 of the learning rate, on OV-COCO.

    tools/dist_train.sh \
        configs/fvit/fvit_eva02-b16_clipself-patches_backbone-lr0.01_8xb8-3e_ov-coco.py 8 --amp

Expected AP50 novel / base / all: 31.1 / 56.6 / 49.9 (paper, Table A3, row 4).
"""

_base_ = './fvit_eva02-b16_clipself-patches_8xb8-3e_ov-coco.py'

model = dict(backbone=dict(frozen=False))
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={'backbone.tower': dict(lr_mult=0.01)}),
)
