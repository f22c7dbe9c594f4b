"""F-ViT with a standard pyramid of the last block only: row 2 of Table A3 in miniature.

python tools/train.py configs/shapes/fvit_tiny_fpn-last_shapes-ov.py \
        --cfg-options model.backbone.tower.model=local-dir:WORK_DIR/tower
"""

_base_ = './fvit_tiny_shapes-ov.py'

model = dict(backbone=dict(out_indices=(4, 4, 4, 4)))
