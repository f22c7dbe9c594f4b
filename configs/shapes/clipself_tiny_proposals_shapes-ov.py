"""CLIPSelf of the tiny CLIP on Shapes-OV with region proposals in miniature.

    python tools/make_shapes_ov.py
    python tools/train.py configs/shapes/clipself_tiny_proposals_shapes-ov.py

Expected top-1 of boxes / thing masks: 62.4 / 30.3 (measured here, mean over 3 seeds;
docs/reproduce.md).
"""

_base_ = [
    '../_base_/models/clipself_tiny.py',
    '../_base_/datasets/proposals_shapes-ov.py',
    '../_base_/datasets/panoptic-val_shapes-ov.py',
    '../_base_/schedules/distill_shapes-ov.py',
    '../_base_/distill_runtime.py',
]
