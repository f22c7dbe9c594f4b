"""CLIPSelf of the tiny CLIP on Shapes-OV with region proposals in miniature.

    python tools/make_shapes_ov.py
    python tools/train.py configs/shapes/clipself_tiny_proposals_shapes-ov.py

EXPECTED
"""

_base_ = [
    '../_base_/models/clipself_tiny.py',
    '../_base_/datasets/proposals_shapes-ov.py',
    '../_base_/datasets/panoptic-val_shapes-ov.py',
    '../_base_/schedules/distill_shapes-ov.py',
    '../_base_/distill_runtime.py',
]
