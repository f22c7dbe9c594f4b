"""Patches, and the image embedding kept by two crops an image (`ImageDistillLoss`)."""

_base_ = '../clipself_tiny_patches_shapes-ov.py'

model = dict(dense_losses=[dict(type='ImageDistillLoss', crops=2)])
