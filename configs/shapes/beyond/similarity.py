"""Patches, pooled with weights by the similarity of a token to the crop (`SimilarityPooling`).

    python tools/train.py configs/shapes/beyond/similarity.py

A row of ``tools/reproduce.py beyond-search --shapes``.
"""

_base_ = '../clipself_tiny_patches_shapes-ov.py'

model = dict(pooling=dict(type='SimilarityPooling', temperature=0.1))
