"""CAT-Seg on the tiny CLIP and Shapes-OV: open-vocabulary segmentation (Table 5) in miniature.

    python tools/make_shapes_ov.py
    python tools/train.py configs/shapes/cat-seg_tiny_shapes-ov.py

It learns from the 50 base things and 8 kinds of stuff and is tested on all 73 classes. A distilled
tower takes the original's place with ``--cfg-options
model.backbone.tower.model=local-dir:WORK_DIR/tower``.

Expected mIoU / mAcc: 0.91 / 2.57 on the original tower, 11.72 / 15.43 on the one that CLIPSelf
refined with patches (measured here, one seed; docs/segmentation.md).
"""

_base_ = [
    '../_base_/models/cat-seg_tiny.py',
    '../_base_/datasets/cat-seg_shapes-ov.py',
    '../_base_/schedules/cat-seg_shapes-ov.py',
    '../_base_/cat-seg_runtime.py',
]
default_hooks = dict(checkpoint=dict(interval=500))
