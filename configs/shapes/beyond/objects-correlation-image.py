"""Object regions, correlations between tokens, and the image embedding kept by two crops an image.

    python tools/test.py configs/shapes/object-regions_tiny_shapes-ov.py
    python tools/train.py configs/shapes/beyond/objects-correlation-image.py

A row of ``tools/reproduce.py beyond-search --shapes``.
"""

_base_ = './objects-correlation.py'

_base_.model.dense_losses.append(dict(type='ImageDistillLoss', crops=2))
