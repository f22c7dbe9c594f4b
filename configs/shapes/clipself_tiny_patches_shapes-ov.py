"""CLIPSelf of the tiny CLIP on Shapes-OV with image patches (paper, Table 2, row 2), in miniature.

    python tools/make_shapes_ov.py
    python tools/train.py configs/shapes/clipself_tiny_patches_shapes-ov.py

Expected top-1 of boxes / stuff masks: 20.6 / 78.4 (measured here, mean over 3 seeds;
docs/reproduce.md).
"""

_base_ = [
    '../_base_/models/clipself_tiny.py',
    '../_base_/datasets/patches_shapes-ov.py',
    '../_base_/datasets/panoptic-val_shapes-ov.py',
    '../_base_/schedules/distill_shapes-ov.py',
    '../_base_/distill_runtime.py',
]
