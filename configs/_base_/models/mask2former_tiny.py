"""Mask2Former with a classifier of text on the tiny CLIP: every part of the real one, narrower."""

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
