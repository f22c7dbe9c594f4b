"""Object regions, and three grids with the whole image in place of one grid.

    python tools/test.py configs/shapes/object-regions_tiny_shapes-ov.py
    python tools/train.py configs/shapes/beyond/objects-grids.py

A row of ``tools/reproduce.py beyond-search --shapes``.
"""

_base_ = '../clipself_tiny_objects_shapes-ov.py'

_base_.train_dataloader.dataset.pipeline[1].regions.parts[1].update(grids=3, whole=True)
