"""Patches, and the similarities of regions to a queue of earlier crops (`RelationalDistillLoss`)."""

_base_ = '../clipself_tiny_patches_shapes-ov.py'

model = dict(dense_losses=[dict(type='RelationalDistillLoss')])
