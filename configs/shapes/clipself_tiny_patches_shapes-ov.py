"""CLIPSelf of the tiny CLIP on Shapes-OV with image patches (paper, Table 2, row 2), in miniature.

    python tools/make_shapes_ov.py
    python tools/train.py configs/shapes/clipself_tiny_patches_shapes-ov.py

Expected top-1 of boxes / stuff masks: 20.6 / 78.4 (measured here, mean over 3 seeds;
docs/reproduce.md).
"""

_base_ = [
    '../_base_/models/clipself_tiny.py',
    '../_base_/datasets/shapes-ov_patches.py',
    '../_base_/datasets/shapes-ov_panoptic-val.py',
    '../_base_/schedules/distill_shapes-ov.py',
]
