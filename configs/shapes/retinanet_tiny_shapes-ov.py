"""mmdet's RetinaNet on the frozen tiny CLIP: a closed vocabulary on the backbone of F-ViT.

    python tools/make_shapes_ov.py
    python tools/train.py configs/shapes/retinanet_tiny_shapes-ov.py

Trained on base classes as F-ViT is; having weights for classes instead of text, it cannot find a
novel one. Any other one-stage detector of mmdet takes the tower in the same way.
"""

_base_ = [
    'mmdet::_base_/models/retinanet_r50_fpn.py',
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
    neck=dict(
        in_channels=[128, 128, 128, 128],
        out_channels=64,
        start_level=0,
        norm_cfg=dict(type='BN'),
    ),
    bbox_head=dict(
        num_classes=65,
        in_channels=64,
        feat_channels=64,
        anchor_generator=dict(ratios=[1.0], scales_per_octave=2, strides=[2, 4, 8, 16, 32]),
    ),
)
default_hooks = dict(checkpoint=dict(save_best='coco/base_ap50'))
