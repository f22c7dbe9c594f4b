"""F-ViT with ViTDet's simple pyramid of the last block: row 1 of Table A3 in miniature.

    python tools/train.py configs/shapes/fvit_tiny_simplefpn-last_shapes-ov.py \
        --cfg-options model.backbone.tower.model=local-dir:WORK_DIR/tower

Expected AP50 novel / base / all on the demo's tower of proposals: 39.8 / 78.0 / 69.2 (measured
here, one seed; docs/reproduce.md).
"""

_base_ = './fvit_tiny_shapes-ov.py'

model = dict(
    backbone=dict(out_indices=(4,), scales=(1,)),
    neck=dict(
        _delete_=True,
        type='SimpleFPN',
        in_channels=128,
        out_channels=64,
        num_outs=5,
        norm_cfg=dict(type='BN'),
    ),
)
