"""F-ViT whose tower trains at 0.1 of the learning rate: row 5 of Table A3 in miniature.

    python tools/train.py configs/shapes/fvit_tiny_backbone-lr0.1_shapes-ov.py \
        --cfg-options model.backbone.tower.model=local-dir:WORK_DIR/tower

Row 4 is ``optim_wrapper.paramwise_cfg.custom_keys.tower.lr_mult=0.01``. Measured here:
docs/results/table_A3.md.
"""

_base_ = './fvit_tiny_shapes-ov.py'

model = dict(backbone=dict(frozen=False))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'tower': dict(lr_mult=0.1)}))
