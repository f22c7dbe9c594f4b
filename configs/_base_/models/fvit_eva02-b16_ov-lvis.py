"""F-ViT on EVA-02 CLIP ViT-B/16 for OV-LVIS at 1024 px: with masks and a normed RPN."""

_base_ = './fvit_eva02-b16_ov-coco.py'

model = dict(
    rpn_head=dict(type='NormRPNHead', norm_cfg=dict(type='BN')),
    roi_head=dict(
        bbox_head=dict(
            vocabulary='ov_lvis',
            beta=0.6,
            clip_temperature=50.0,
            background_weight=0.9,
        ),
        mask_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0),
            out_channels=256,
            featmap_strides=[4, 8, 16, 32],
        ),
        mask_head=dict(
            type='FCNMaskHead',
            num_convs=4,
            in_channels=256,
            conv_out_channels=256,
            num_classes=1,
            class_agnostic=True,
            norm_cfg=dict(type='BN'),
            loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0),
        ),
    ),
    train_cfg=dict(rcnn=dict(assigner=dict(match_low_quality=True))),
    test_cfg=dict(rcnn=dict(score_thr=0.0001, nms=dict(iou_threshold=0.5), max_per_img=300)),
)
