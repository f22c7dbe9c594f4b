"""Patches, whose crops are 1.5 times as large as their cells."""

_base_ = '../clipself_tiny_patches_shapes-ov.py'

_base_.train_dataloader.dataset.pipeline[1].regions.update(crop_scale=1.5)
