"""mmdet's Mask R-CNN on the frozen tiny CLIP: a closed vocabulary on the backbone of F-ViT.

    python tools/make_shapes_ov.py
    python tools/train.py configs/shapes/mask-rcnn_tiny_shapes-ov.py

Trained on base classes as F-ViT is; having weights for classes instead of text, it cannot find a
novel one. Any other two-stage detector of mmdet takes the tower in the same way.
"""

_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    '../_base_/datasets/shapes-ov_detection.py',
    '../_base_/schedules/fvit_shapes-ov.py',
    '../_base_/detection_runtime.py',
]

model = dict(
    data_preprocessor=dict(
        mean=[122.7709383, 116.7460125, 104.09373615],  # CLIP's
        std=[68.5005327, 66.6321579, 70.32316305],
    ),
    backbone=dict(
        _delete_=True,
        type='FViTBackbone',
        tower=dict(type='CLIPTower', model='pkg:clipself_mm.shapes/tiny_clip'),
        out_indices=(1, 2, 3, 4),
        norm_cfg=dict(type='BN'),
    ),
    neck=dict(in_channels=[128, 128, 128, 128], out_channels=64, norm_cfg=dict(type='BN')),
    rpn_head=dict(
        in_channels=64, feat_channels=64, anchor_generator=dict(strides=[2, 4, 8, 16, 32])
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64, featmap_strides=[2, 4, 8, 16], finest_scale=28),
        bbox_head=dict(in_channels=64, fc_out_channels=128, num_classes=65),
        mask_roi_extractor=dict(out_channels=64, featmap_strides=[2, 4, 8, 16], finest_scale=28),
        mask_head=dict(num_convs=2, in_channels=64, conv_out_channels=64, num_classes=65),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=128)),
        rpn_proposal=dict(nms_pre=500, max_per_img=200),
        rcnn=dict(sampler=dict(num=64)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=100)),
)

train_pipeline = _base_.train_pipeline
train_pipeline[1] = dict(type='LoadAnnotations', with_bbox=True, with_mask=True)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_evaluator = dict(metric=['bbox', 'segm'])
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='coco/base_ap50'))
