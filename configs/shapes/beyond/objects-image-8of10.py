"""The recipe of docs/beyond.md: object regions in eight of ten images, the image embedding kept.

    python tools/test.py configs/shapes/object-regions_tiny_shapes-ov.py
    python tools/train.py configs/shapes/beyond/objects-image-8of10.py

Rows of ``tools/reproduce.py beyond-search beyond --shapes``.
"""

_base_ = './objects-image.py'

_base_.train_dataloader.dataset.pipeline[1].regions.shares = [0.8, 0.2]
