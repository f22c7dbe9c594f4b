"""CLIPSelf of the tiny CLIP on Shapes-OV, dense maps from the values of its last three blocks.

    python tools/make_shapes_ov.py
    python tools/train.py configs/shapes/clipself_tiny_values3_shapes-ov.py

DenseRC's sum of layers without its gate: docs/after-the-paper.md. A detector on the tower needs
``model.backbone.tower.last_block=values-3``.
"""

_base_ = './clipself_tiny_patches_shapes-ov.py'

model = dict(tower=dict(last_block='values-3'))
