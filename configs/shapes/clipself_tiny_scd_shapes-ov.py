"""CLIPSelf of the tiny CLIP with correlation distillation (R-SC / SCD, arXiv 2504.02328).

    python tools/make_shapes_ov.py
    python tools/train.py configs/shapes/clipself_tiny_scd_shapes-ov.py

Measured here, cut to 5 epochs: docs/results/table_after.md.
"""

_base_ = './clipself_tiny_patches_shapes-ov.py'

model = dict(dense_losses=[dict(type='CorrelationDistillLoss', temperature=0.2, loss_weight=1.0)])
