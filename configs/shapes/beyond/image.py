"""Patches, and the image embedding kept by two crops an image (`ImageDistillLoss`).

    python tools/train.py configs/shapes/beyond/image.py

A row of ``tools/reproduce.py beyond-search --shapes``.
"""

_base_ = '../clipself_tiny_patches_shapes-ov.py'

model = dict(dense_losses=[dict(type='ImageDistillLoss', crops=2)])
