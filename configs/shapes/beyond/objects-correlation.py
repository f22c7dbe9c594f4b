"""Object regions, and correlations between tokens that follow the frozen tower's.

    python tools/test.py configs/shapes/object-regions_tiny_shapes-ov.py
    python tools/train.py configs/shapes/beyond/objects-correlation.py

A row of ``tools/reproduce.py beyond-search --shapes``.
"""

_base_ = '../clipself_tiny_objects_shapes-ov.py'

model = dict(dense_losses=[dict(type='CorrelationDistillLoss', temperature=0.2, loss_weight=1.0)])
