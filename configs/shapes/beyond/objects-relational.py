"""Object regions, and similarities of regions to earlier crops (`RelationalDistillLoss`).

    python tools/test.py configs/shapes/object-regions_tiny_shapes-ov.py
    python tools/train.py configs/shapes/beyond/objects-relational.py

A row of ``tools/reproduce.py beyond-search --shapes``.
"""

_base_ = '../clipself_tiny_objects_shapes-ov.py'

model = dict(dense_losses=[dict(type='RelationalDistillLoss')])
