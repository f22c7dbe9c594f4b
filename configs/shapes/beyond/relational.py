"""Patches, and similarities of regions to earlier crops (`RelationalDistillLoss`).

    python tools/train.py configs/shapes/beyond/relational.py

A row of ``tools/reproduce.py beyond-search --shapes``.
"""

_base_ = '../clipself_tiny_patches_shapes-ov.py'

model = dict(dense_losses=[dict(type='RelationalDistillLoss')])
