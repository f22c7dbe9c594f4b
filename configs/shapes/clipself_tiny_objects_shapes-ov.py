"""CLIPSelf of the tiny CLIP with boxes of objects that are found without labels, and patches.

    python tools/test.py configs/shapes/object-regions_tiny_shapes-ov.py
    python tools/train.py configs/shapes/clipself_tiny_objects_shapes-ov.py

Of ten images, seven have up to ten boxes as regions and three the cells of a grid.
"""

_base_ = [
    '../_base_/models/clipself_tiny.py',
    '../_base_/datasets/shapes-ov_objects.py',
    '../_base_/datasets/shapes-ov_panoptic-val.py',
    '../_base_/schedules/distill_shapes-ov.py',
]
