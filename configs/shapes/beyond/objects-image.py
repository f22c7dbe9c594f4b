"""Object regions in seven of ten images, and the image embedding kept by two crops an image.

    python tools/test.py configs/shapes/object-regions_tiny_shapes-ov.py
    python tools/train.py configs/shapes/beyond/objects-image.py

Rows of ``tools/reproduce.py beyond-search beyond --shapes``; the recipe of docs/beyond.md is
objects-image-8of10.py.
"""

_base_ = '../clipself_tiny_objects_shapes-ov.py'

model = dict(dense_losses=[dict(type='ImageDistillLoss', crops=2)])
