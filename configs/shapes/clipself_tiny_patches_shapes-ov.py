"""CLIPSelf of the tiny CLIP on Shapes-OV with image patches (paper, Table 2, row 2), in miniature.

    python tools/make_shapes_ov.py
    python tools/train.py configs/shapes/clipself_tiny_patches_shapes-ov.py

Expected top-1 of boxes / thing masks / stuff masks: 21.9 / 16.5 / 96.3 (measured here, seed 0;
docs/reproduce.md).
"""

_base_ = [
    '../_base_/models/clipself_tiny.py',
    '../_base_/datasets/shapes-ov_patches.py',
    '../_base_/datasets/shapes-ov_panoptic-val.py',
    '../_base_/schedules/distill_shapes-ov.py',
]
