"""F-ViT with a standard pyramid of the last block only: row 2 of Table A3 in miniature.

    python tools/train.py configs/shapes/fvit_tiny_fpn-last_shapes-ov.py \
        --cfg-options model.backbone.tower.model=local-dir:WORK_DIR/tower

Expected AP50 novel / base / all on the demo's tower of proposals: 36.9 / 85.8 / 74.5 (measured
here, one seed; docs/reproduce.md).
"""

_base_ = './fvit_tiny_shapes-ov.py'

model = dict(backbone=dict(out_indices=(4, 4, 4, 4)))
