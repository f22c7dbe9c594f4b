"""Patches, with regions weighted by their crop's distance from the mean embedding.

    python tools/train.py configs/shapes/beyond/confidence.py

A row of ``tools/reproduce.py beyond-search --shapes``.
"""

_base_ = '../clipself_tiny_patches_shapes-ov.py'

model = dict(
    distill_loss=dict(type='CentredCosineLoss', _delete_=True, centred=False, confidence=2.0)
)
