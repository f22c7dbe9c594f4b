"""F-ViT with ViTDet's simple pyramid of the last block, on OV-COCO.

    tools/dist_train.sh configs/fvit/fvit_eva02-b16_simplefpn-last_8xb8-3e_ov-coco.py 8 --amp

Expected AP50 novel / base / all: 23.1 / 46.6 / 40.4 (paper, Table A3, row 1).
"""

_base_ = './fvit_eva02-b16_8xb8-3e_ov-coco.py'

model = dict(
    backbone=dict(out_indices=(11,), scales=(1,)),
    neck=dict(
        _delete_=True,
        type='SimpleFPN',
        in_channels=768,
        out_channels=256,
        num_outs=5,
        scales=(4, 2, 1, 0.5),
        norm_cfg=dict(type='BN'),
    ),
)
