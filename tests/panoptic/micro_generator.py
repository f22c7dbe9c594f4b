"""A closed Mask2Former of mmdet with random weights, small enough for a test."""

import torch
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict

PREPROCESSOR = dict(
    type='DetDataPreprocessor',
    mean=[100.0, 110.0, 120.0],
    std=[50.0, 60.0, 70.0],
    bgr_to_rgb=True,
    pad_size_divisor=32,
)


def micro_generator(things=2, stuff=1, queries=5, preprocessor=PREPROCESSOR):
    """Config of a Mask2Former on ResNet-18 with 8 channels."""
    attention = dict(embed_dims=16, num_heads=2, dropout=0.0, batch_first=True)
    ffn = dict(embed_dims=16, feedforward_channels=16, num_fcs=2, act_cfg=dict(type='ReLU'))
    position = dict(num_feats=8, normalize=True)
    deformable = dict(embed_dims=16, num_heads=2, num_levels=2, num_points=2, batch_first=True)
    return ConfigDict(
        type='mmdet.Mask2Former',
        data_preprocessor=preprocessor,
        backbone=dict(
            type='mmdet.ResNet', depth=18, base_channels=8, out_indices=(1, 2, 3), norm_eval=True
        ),
        panoptic_head=dict(
            type='mmdet.Mask2FormerHead',
            in_channels=[16, 32, 64],
            strides=[8, 16, 32],
            feat_channels=16,
            out_channels=16,
            num_things_classes=things,
            num_stuff_classes=stuff,
            num_queries=queries,
            num_transformer_feat_level=2,
            pixel_decoder=dict(
                type='mmdet.MSDeformAttnPixelDecoder',
                num_outs=2,
                norm_cfg=dict(type='GN', num_groups=4),
                act_cfg=dict(type='ReLU'),
                encoder=dict(num_layers=1, layer_cfg=dict(self_attn_cfg=deformable, ffn_cfg=ffn)),
                positional_encoding=position,
            ),
            positional_encoding=position,
            transformer_decoder=dict(
                return_intermediate=True,
                num_layers=2,
                layer_cfg=dict(self_attn_cfg=attention, cross_attn_cfg=attention, ffn_cfg=ffn),
                init_cfg=None,
            ),
            loss_cls=dict(
                type='mmdet.CrossEntropyLoss',
                use_sigmoid=False,
                loss_weight=2.0,
                class_weight=[1.0] * (things + stuff) + [0.1],
            ),
            loss_mask=dict(type='mmdet.CrossEntropyLoss', use_sigmoid=True, loss_weight=5.0),
            loss_dice=dict(
                type='mmdet.DiceLoss', activate=True, naive_dice=True, eps=1.0, loss_weight=5.0
            ),
        ),
        panoptic_fusion_head=dict(
            type='mmdet.MaskFormerFusionHead', num_things_classes=things, num_stuff_classes=stuff
        ),
        train_cfg=dict(
            num_points=64,
            oversample_ratio=3.0,
            importance_sample_ratio=0.75,
            assigner=dict(
                type='mmdet.HungarianAssigner',
                match_costs=[
                    dict(type='mmdet.ClassificationCost', weight=2.0),
                    dict(type='mmdet.DiceCost', weight=5.0, pred_act=True, eps=1.0),
                ],
            ),
            sampler=dict(type='mmdet.MaskPseudoSampler'),
        ),
        test_cfg=dict(
            panoptic_on=True,
            instance_on=True,
            max_per_image=7,
            iou_thr=0.1,
            object_mask_thr=0.0,
            filter_low_score=False,
        ),
    )


def one_image(size, original=None, seed=0):
    """What a pipeline gives: a BGR image of random pixels and its sample."""
    height, width = size
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)
    original = original or size
    sample = DetDataSample(
        metainfo=dict(
            img_id=1,
            img_shape=size,
            ori_shape=original,
            scale_factor=(width / original[1], height / original[0]),
        )
    )
    return dict(inputs=[image], data_samples=[sample])
