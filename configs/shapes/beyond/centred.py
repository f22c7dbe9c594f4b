"""Patches, with the mean embedding subtracted before the cosine.

    python tools/train.py configs/shapes/beyond/centred.py

A row of ``tools/reproduce.py beyond-search --shapes``.
"""

_base_ = '../clipself_tiny_patches_shapes-ov.py'

model = dict(distill_loss=dict(type='CentredCosineLoss', _delete_=True))
