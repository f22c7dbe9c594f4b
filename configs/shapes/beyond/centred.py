"""Patches, with the mean embedding subtracted before the cosine."""

_base_ = '../clipself_tiny_patches_shapes-ov.py'

model = dict(distill_loss=dict(type='CentredCosineLoss', _delete_=True))
