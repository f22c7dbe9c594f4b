"""Object regions, three grids with the whole image, and the image embedding kept.

    python tools/test.py configs/shapes/object-regions_tiny_shapes-ov.py
    python tools/train.py configs/shapes/beyond/objects-grids-image.py

A row of ``tools/reproduce.py beyond-search --shapes``.
"""

_base_ = './objects-grids.py'

model = dict(dense_losses=[dict(type='ImageDistillLoss', crops=2)])
