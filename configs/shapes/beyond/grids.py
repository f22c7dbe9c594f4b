"""Three grids an image and the whole image, in place of one grid.

    python tools/train.py configs/shapes/beyond/grids.py

A row of ``tools/reproduce.py beyond-search --shapes``.
"""

_base_ = '../clipself_tiny_patches_shapes-ov.py'

_base_.train_dataloader.dataset.pipeline[1].regions.update(grids=3, whole=True)
