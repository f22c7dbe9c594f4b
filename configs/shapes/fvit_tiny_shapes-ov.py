"""F-ViT on the tiny CLIP and Shapes-OV: OV-COCO (paper, Table 3a) in miniature.

    python tools/make_shapes_ov.py
    python tools/train.py configs/shapes/fvit_tiny_shapes-ov.py

A distilled tower takes the original's place with ``--cfg-options
model.backbone.tower.model=local-dir:WORK_DIR/tower``.

Expected AP50 novel / base / all after the last epoch: original 0.3 / 37.5 / 28.9, towers of patches
15.9 / 74.6 / 61.1, of the RPN's proposals 38.1 / 88.6 / 76.9 (measured here, mean over 3 seeds of
the whole chain; docs/reproduce.md).
"""

_base_ = [
    '../_base_/models/fvit_tiny.py',
    '../_base_/datasets/shapes-ov_detection.py',
    '../_base_/schedules/fvit_shapes-ov.py',
    '../_base_/detection_runtime.py',
]
