"""Object regions, and the image embedding kept by two crops an image (`ImageDistillLoss`).

    python tools/test.py configs/shapes/object-regions_tiny_shapes-ov.py
    python tools/train.py configs/shapes/beyond/objects-image.py

A row of ``tools/reproduce.py beyond-search --shapes``.
"""

_base_ = '../clipself_tiny_objects_shapes-ov.py'

model = dict(dense_losses=[dict(type='ImageDistillLoss', crops=2)])
