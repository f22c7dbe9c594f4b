"""F-ViT on the tiny CLIP and Shapes-OV: OV-COCO (paper, Table 3a) in miniature.

    python tools/make_shapes_ov.py
    python tools/train.py configs/shapes/fvit_tiny_shapes-ov.py

A distilled tower takes the original's place with ``--cfg-options
model.backbone.tower.model=local-dir:WORK_DIR/tower``.

Expected AP50 novel / base / all after the last epoch: original 0.2 / 38.1 / 29.3, the demo's tower
of proposals 40.2 / 86.9 / 76.2 (measured here, mean over 3 seeds; docs/reproduce.md).
"""

_base_ = [
    '../_base_/models/fvit_tiny.py',
    '../_base_/datasets/shapes-ov_detection.py',
    '../_base_/schedules/fvit_shapes-ov.py',
    '../_base_/detection_runtime.py',
]
