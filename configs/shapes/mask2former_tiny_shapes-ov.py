"""A small Mask2Former with a classifier of text on Shapes-OV: the mask generator in miniature.

    python tools/make_shapes_ov.py
    python tools/train.py configs/shapes/mask2former_tiny_shapes-ov.py

It learns from the 50 base things and 8 kinds of stuff and is tested on all 73 classes. Its backbone
is the original tiny CLIP, frozen. panoptic-fusion_tiny_shapes-ov.py adds CLIP's score to it.

Expected PQ: 31.7; things seen 28.9, unseen 8.4, stuff 93.5 (measured here, seed 0).
"""

_base_ = '../_base_/panoptic_runtime.py'

model = dict(
    type='TextMask2Former',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[122.7709383, 116.7460125, 104.09373615],  # CLIP's
        std=[68.5005327, 66.6321375, 70.32316305],
        bgr_to_rgb=True,
        pad_size_divisor=32,
        pad_mask=True,
        mask_pad_value=0,
        pad_seg=True,
        seg_pad_value=255,
    ),
    backbone=dict(
        type='FViTBackbone',
        tower=dict(type='CLIPTower', model='pkg:clipself_mm.shapes/tiny_clip'),
        out_indices=(1, 2, 4),
        scales=(2, 1, 0.5),
        norm_cfg=dict(type='BN'),
    ),
    panoptic_head=dict(
        type='TextMask2FormerHead',
        vocabulary='shapes_ov_panoptic_base',
        test_vocabulary='shapes_ov_panoptic',
        embed_dim=128,
        in_channels=[128, 128, 128],
        strides=[4, 8, 16],
        feat_channels=64,
        out_channels=64,
        num_queries=30,
        num_transformer_feat_level=2,
        pixel_decoder=dict(
            type='MSDeformAttnPixelDecoder',
            num_outs=2,
            norm_cfg=dict(type='GN', num_groups=8),
            act_cfg=dict(type='ReLU'),
            encoder=dict(
                num_layers=2,
                layer_cfg=dict(
                    self_attn_cfg=dict(
                        embed_dims=64,
                        num_heads=4,
                        num_levels=2,
                        num_points=4,
                        dropout=0.0,
                        batch_first=True,
                    ),
                    ffn_cfg=dict(
                        embed_dims=64,
                        feedforward_channels=128,
                        num_fcs=2,
                        ffn_drop=0.0,
                        act_cfg=dict(type='ReLU', inplace=True),
                    ),
                ),
            ),
            positional_encoding=dict(num_feats=32, normalize=True),
        ),
        positional_encoding=dict(num_feats=32, normalize=True),
        transformer_decoder=dict(
            return_intermediate=True,
            num_layers=3,
            layer_cfg=dict(
                self_attn_cfg=dict(embed_dims=64, num_heads=4, dropout=0.0, batch_first=True),
                cross_attn_cfg=dict(embed_dims=64, num_heads=4, dropout=0.0, batch_first=True),
                ffn_cfg=dict(
                    embed_dims=64,
                    feedforward_channels=256,
                    num_fcs=2,
                    ffn_drop=0.0,
                    act_cfg=dict(type='ReLU', inplace=True),
                ),
            ),
            init_cfg=None,
        ),
        loss_mask=dict(
            type='CrossEntropyLoss', use_sigmoid=True, reduction='mean', loss_weight=5.0
        ),
        loss_dice=dict(
            type='DiceLoss',
            use_sigmoid=True,
            activate=True,
            reduction='mean',
            naive_dice=True,
            eps=1.0,
            loss_weight=5.0,
        ),
    ),
    panoptic_fusion_head=dict(type='MaskFormerFusionHead'),
    train_cfg=dict(
        num_points=1024,
        oversample_ratio=3.0,
        importance_sample_ratio=0.75,
        assigner=dict(
            type='HungarianAssigner',
            match_costs=[
                dict(type='ClassificationCost', weight=2.0),
                dict(type='CrossEntropyLossCost', weight=5.0, use_sigmoid=True),
                dict(type='DiceCost', weight=5.0, pred_act=True, eps=1.0),
            ],
        ),
        sampler=dict(type='MaskPseudoSampler'),
    ),
    test_cfg=dict(
        panoptic_on=True,
        semantic_on=False,
        instance_on=True,
        max_per_image=50,
        object_mask_thr=0.0,
        iou_thr=0.8,
        filter_low_score=True,
    ),
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadPanopticAnnotations'),
    dict(type='RandomResize', scale=(128, 128), ratio_range=(0.8, 1.25), keep_ratio=True),
    dict(
        type='RandomCrop',
        crop_type='absolute',
        crop_size=(128, 128),
        recompute_bbox=True,
        allow_negative_crop=True,
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='OpenVocabPanopticDataset',
        data_root='data/shapes_ov/',
        ann_file='annotations/panoptic_train.json',
        data_prefix=dict(img='train/', seg='annotations/panoptic_train/'),
        vocabulary='shapes_ov_panoptic_base',
        ignore_unknown=True,
        pipeline=train_pipeline,
    ),
)
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(128, 128), keep_ratio=True),
    dict(type='LoadPanopticAnnotations'),  # behind Resize: compared at the original size
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
val_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='OpenVocabPanopticDataset',
        data_root='data/shapes_ov/',
        ann_file='annotations/panoptic_val.json',
        data_prefix=dict(img='val/', seg='annotations/panoptic_val/'),
        vocabulary='shapes_ov_panoptic',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
val_evaluator = [
    dict(
        type='OpenVocabPanopticMetric',
        ann_file='data/shapes_ov/annotations/panoptic_val.json',
        seg_prefix='data/shapes_ov/annotations/panoptic_val/',
        seen='shapes_ov_panoptic_base',
    ),
    dict(
        type='ThingMaskMetric',
        ann_file='data/shapes_ov/annotations/instances_val.json',
        seen='shapes_ov_panoptic_base',
    ),
]
test_dataloader = val_dataloader
test_evaluator = val_evaluator

train_cfg = dict(type='IterBasedTrainLoop', max_iters=1600, val_interval=400)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=0.1, norm_type=2),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', eta_min=1e-5, begin=50, end=1600, T_max=1550, by_epoch=False),
]
auto_scale_lr = dict(enable=False, base_batch_size=8)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=400))
log_processor = dict(by_epoch=False)
