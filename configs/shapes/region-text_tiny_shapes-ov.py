"""The tiny CLIP refined with region-text pairs on Shapes-OV (paper, Table 7, row 1), in miniature.

    python tools/test.py configs/shapes/pseudo-labels_tiny_shapes-ov.py
    python tools/train.py configs/shapes/region-text_tiny_shapes-ov.py

Schedule and proposals are those of clipself_tiny_rpn-proposals_shapes-ov.py; each pass draws ten of
an image's pairs. Top-1 of boxes / thing masks: 61.7 / 52.7 (measured here, seed 0;
docs/reproduce.md says why that is above CLIPSelf).
"""

_base_ = [
    '../_base_/models/region-text_tiny.py',
    '../_base_/datasets/region-text_shapes-ov.py',
    '../_base_/datasets/panoptic-val_shapes-ov.py',
    '../_base_/schedules/distill_shapes-ov.py',
    '../_base_/distill_runtime.py',
]
