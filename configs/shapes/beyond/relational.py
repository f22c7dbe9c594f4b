"""Patches, and similarities of regions to earlier crops (`RelationalDistillLoss`)."""

_base_ = '../clipself_tiny_patches_shapes-ov.py'

model = dict(dense_losses=[dict(type='RelationalDistillLoss')])
