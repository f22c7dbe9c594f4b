"""F-ViT on EVA-02 CLIP ViT-B/16 for OV-COCO at 640 px (paper, appendix A.3).

The images are normalised by ImageNet's mean and std and padded with zeros to the square that the
data's `image_size` asks for, as in the authors' release; CLIP itself was trained with another mean
and std.
Another tower is one key: `model.backbone.tower.checkpoint`; the classes are encoded by the text
tower of that file. A file of embeddings (`tools/make_text_embeddings.py`) in
`model.roi_head.bbox_head.cls_predictor_cfg.embeddings` saves that at every start.
"""

model = dict(
    type='FViT',
    data_preprocessor=dict(
        type='SquareDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_mask=True,
        pad_size_divisor=32,
        non_blocking=True,
    ),
    backbone=dict(
        type='FViTBackbone',
        tower=dict(
            type='CLIPTower',
            model='EVA02-B-16',
            checkpoint='checkpoints/EVA02_CLIP_B_psz16_s8B.pt',
        ),
        out_indices=(3, 5, 7, 11),
        scales=(4, 2, 1, 0.5),
        norm_cfg=dict(type='BN'),
        frozen=True,
    ),
    neck=dict(
        type='FPN',
        in_channels=[768, 768, 768, 768],
        out_channels=256,
        num_outs=5,
        norm_cfg=dict(type='BN'),
    ),
    rpn_head=dict(
        type='RPNHead',
        in_channels=256,
        feat_channels=256,
        num_convs=2,
        anchor_generator=dict(
            type='AnchorGenerator',
            scales=[8],
            ratios=[0.5, 1.0, 2.0],
            strides=[4, 8, 16, 32, 64],
        ),
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder',
            target_means=[0.0, 0.0, 0.0, 0.0],
            target_stds=[1.0, 1.0, 1.0, 1.0],
        ),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
        loss_bbox=dict(type='L1Loss', loss_weight=1.0),
    ),
    roi_head=dict(
        type='FViTRoIHead',
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=0),
            out_channels=256,
            featmap_strides=[4, 8, 16, 32],
        ),
        clip_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=1, sampling_ratio=0, aligned=True),
            out_channels=512,
            featmap_strides=[16],
        ),
        bbox_head=dict(
            type='FViTBBoxHead',
            vocabulary='ov_coco',
            alpha=0.1,
            beta=0.8,
            clip_temperature=75.0,
            background_weight=0.6,
            in_channels=256,
            conv_out_channels=256,
            fc_out_channels=512,
            roi_feat_size=7,
            num_shared_convs=4,
            num_shared_fcs=2,
            num_cls_fcs=1,
            num_reg_fcs=1,
            norm_cfg=dict(type='BN'),
            reg_class_agnostic=True,
            bbox_coder=dict(
                type='DeltaXYWHBBoxCoder',
                target_means=[0.0, 0.0, 0.0, 0.0],
                target_stds=[0.1, 0.1, 0.2, 0.2],
            ),
            cls_predictor_cfg=dict(
                type='TextClassifier', background='text', temperature=50.0, learn_temperature=True
            ),
            loss_cls=dict(type='OpenVocabCELoss'),
            loss_bbox=dict(type='L1Loss', loss_weight=1.0),
        ),
    ),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(
                type='MaxIoUAssigner',
                pos_iou_thr=0.7,
                neg_iou_thr=0.3,
                min_pos_iou=0.3,
                match_low_quality=True,
                ignore_iof_thr=-1,
            ),
            sampler=dict(
                type='RandomSampler',
                num=256,
                pos_fraction=0.5,
                neg_pos_ub=-1,
                add_gt_as_proposals=False,
            ),
            allowed_border=-1,
            pos_weight=-1,
            debug=False,
        ),
        rpn_proposal=dict(
            nms_pre=2000,
            max_per_img=1000,
            nms=dict(type='nms', iou_threshold=0.7),
            min_bbox_size=0,
        ),
        rcnn=dict(
            assigner=dict(
                type='MaxIoUAssigner',
                pos_iou_thr=0.5,
                neg_iou_thr=0.5,
                min_pos_iou=0.5,
                match_low_quality=False,
                ignore_iof_thr=-1,
            ),
            sampler=dict(
                type='RandomSampler',
                num=512,
                pos_fraction=0.25,
                neg_pos_ub=-1,
                add_gt_as_proposals=True,
            ),
            mask_size=28,
            pos_weight=-1,
            debug=False,
        ),
    ),
    test_cfg=dict(
        rpn=dict(
            nms_pre=2000,
            max_per_img=1000,
            nms=dict(type='nms', iou_threshold=0.7),
            min_bbox_size=0,
        ),
        rcnn=dict(
            score_thr=0.01,
            nms=dict(type='nms', iou_threshold=0.4),
            max_per_img=100,
            mask_thr_binary=0.5,
        ),
    ),
)
