"""A small Mask2Former with a classifier of text on Shapes-OV: the mask generator in miniature.

    python tools/make_shapes_ov.py
    python tools/train.py configs/shapes/mask2former_tiny_shapes-ov.py

It learns from the 50 base things and 8 kinds of stuff and is tested on all 73 classes. Its backbone
is the original tiny CLIP, frozen. panoptic-fusion_tiny_shapes-ov.py adds CLIP's score to it.

Expected PQ: 31.7; things seen 28.9, unseen 8.4, stuff 93.5 (measured here, seed 0).
"""

_base_ = [
    '../_base_/models/mask2former_tiny.py',
    '../_base_/datasets/panoptic-segm_shapes-ov.py',
    '../_base_/panoptic_runtime.py',
    '../_base_/schedules/mask2former_shapes-ov.py',
]
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=400))
log_processor = dict(by_epoch=False)
