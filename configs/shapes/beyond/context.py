"""Patches, whose crops are 1.5 times as large as their cells.

    python tools/train.py configs/shapes/beyond/context.py

A row of ``tools/reproduce.py beyond-search --shapes``.
"""

_base_ = '../clipself_tiny_patches_shapes-ov.py'

_base_.train_dataloader.dataset.pipeline[1].regions.update(crop_scale=1.5)
