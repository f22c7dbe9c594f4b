"""F-ViT on the tiny CLIP that ships with the package: every component of the real one, narrower."""

_base_ = './fvit_eva02-b16_ov-coco.py'

model = dict(
    data_preprocessor=dict(
        mean=[122.7709383, 116.7460125, 104.09373615],  # CLIP's, as the tiny tower is trained with
        std=[68.5005327, 66.6321579, 70.32316305],
        pad_size_divisor=16,
    ),
    backbone=dict(
        tower=dict(_delete_=True, type='CLIPTower', model='pkg:clipself_mm.shapes/tiny_clip'),
        out_indices=(1, 2, 3, 4),
    ),
    neck=dict(in_channels=[128, 128, 128, 128], out_channels=64),
    rpn_head=dict(
        in_channels=64,
        feat_channels=64,
        anchor_generator=dict(strides=[2, 4, 8, 16, 32]),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64, featmap_strides=[2, 4, 8, 16], finest_scale=28),
        clip_roi_extractor=dict(out_channels=128, featmap_strides=[8]),
        bbox_head=dict(
            vocabulary='shapes_ov',
            in_channels=64,
            conv_out_channels=64,
            fc_out_channels=128,
        ),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=128)),
        rpn_proposal=dict(nms_pre=500, max_per_img=200),
        rcnn=dict(sampler=dict(num=64)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=100)),
)
