"""A detector with every part that released ones have, small enough to build in a moment."""

import copy
import json

import torch
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, DefaultScope

from clipself_mm.clip.class_embeddings import save_class_embeddings

CLASSES = ('disc', 'cross', 'star', 'ring')
BN = dict(type='BN')


def write_vocabulary(folder):
    path = folder / 'words.json'
    path.write_text(
        json.dumps(dict(classes=CLASSES, base=['disc', 'star', 'ring'], novel=['cross']))
    )
    return str(path)


def write_embeddings(folder, dim):
    generator = torch.Generator().manual_seed(5)
    table = torch.randn(len(CLASSES) + 1, dim, generator=generator)
    table = torch.nn.functional.normalize(table, dim=-1)
    path = folder / f'words_{dim}.pt'
    save_class_embeddings(path, (*CLASSES, 'background'), table)
    return str(path), table


def model_config(tower, *, width, dim, patch, out_indices, vocabulary, embeddings, lvis=False):
    """Config of a detector; with `lvis` its RPN is normed and it has a mask head."""
    strides = [patch // 4, patch // 2, patch, patch * 2]
    coder = dict(type='DeltaXYWHBBoxCoder', target_means=[0.0] * 4, target_stds=[0.1] * 4)
    pooled = dict(type='SingleRoIExtractor', out_channels=8, featmap_strides=strides)
    align = dict(type='RoIAlign', sampling_ratio=0)
    nms = dict(type='nms', iou_threshold=0.7)
    config = dict(
        type='FViT',
        data_preprocessor=dict(type='DetDataPreprocessor', pad_size_divisor=32),
        backbone=dict(type='FViTBackbone', tower=tower, out_indices=out_indices, norm_cfg=BN),
        neck=dict(type='FPN', in_channels=[width] * 4, out_channels=8, num_outs=5, norm_cfg=BN),
        rpn_head=dict(
            type='RPNHead',
            in_channels=8,
            feat_channels=8,
            num_convs=2,
            anchor_generator=dict(
                type='AnchorGenerator',
                scales=[8],
                ratios=[0.5, 1.0, 2.0],
                strides=[*strides, patch * 4],
            ),
            bbox_coder=copy.deepcopy(coder),
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True),
            loss_bbox=dict(type='L1Loss'),
        ),
        roi_head=dict(
            type='FViTRoIHead',
            bbox_roi_extractor=dict(pooled, roi_layer=dict(align, output_size=7)),
            clip_roi_extractor=dict(
                type='SingleRoIExtractor',
                roi_layer=dict(align, output_size=1),
                out_channels=dim,
                featmap_strides=[patch],
            ),
            bbox_head=dict(
                type='FViTBBoxHead',
                vocabulary=vocabulary,
                in_channels=8,
                conv_out_channels=8,
                fc_out_channels=dim,
                roi_feat_size=7,
                num_shared_convs=4,
                num_shared_fcs=2,
                num_cls_fcs=1,
                num_reg_fcs=1,
                norm_cfg=BN,
                reg_class_agnostic=True,
                bbox_coder=coder,
                cls_predictor_cfg=dict(type='TextClassifier', embeddings=embeddings),
                loss_cls=dict(type='OpenVocabCELoss'),
                loss_bbox=dict(type='L1Loss'),
            ),
        ),
        test_cfg=dict(
            rpn=dict(nms_pre=100, max_per_img=20, nms=nms, min_bbox_size=0),
            rcnn=dict(score_thr=0.0, nms=nms, max_per_img=20, mask_thr_binary=0.5),
        ),
    )
    if lvis:
        config['rpn_head'] |= dict(type='NormRPNHead', norm_cfg=BN)
        config['roi_head'] |= dict(
            mask_roi_extractor=dict(pooled, roi_layer=dict(align, output_size=14)),
            mask_head=dict(
                type='FCNMaskHead',
                num_convs=2,
                in_channels=8,
                conv_out_channels=8,
                num_classes=len(CLASSES),
                class_agnostic=True,
                norm_cfg=BN,
            ),
        )
    return config


def build_detector(config, seed):
    """The detector with random weights and statistics everywhere but in its tower."""
    register_all_modules(init_default_scope=False)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(ConfigDict(copy.deepcopy(config))).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if name.startswith('backbone.tower.') or not value.is_floating_point():
                continue
            noise = torch.randn(value.shape, generator=generator)
            if name.endswith('running_var'):
                value.copy_(1 + noise.abs())
            else:
                value.add_(0.1 * noise)
    return model


def detections(model, side=64):
    """All outputs of the detector for two fixed images."""
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    samples = []
    for _ in images:
        shape = (side, side)
        samples.append(DetDataSample(metainfo=dict(img_shape=shape, ori_shape=shape)))
        samples[-1].set_metainfo(dict(scale_factor=(1.0, 1.0), batch_input_shape=shape))
    with torch.no_grad():
        return [sample.pred_instances for sample in model.predict(images, samples)]
