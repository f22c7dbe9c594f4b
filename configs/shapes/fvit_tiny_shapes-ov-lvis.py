"""F-ViT with masks on the tiny CLIP and Shapes-OV's LVIS files: OV-LVIS (Table 3b) in miniature.

    python tools/make_shapes_ov.py
    python tools/train.py configs/shapes/fvit_tiny_shapes-ov-lvis.py

A distilled tower takes the original's place with ``--cfg-options
model.backbone.tower.model=local-dir:WORK_DIR/tower``.

Expected mask AP rare / common / frequent / all with the demo's tower of proposals:
31.4 / 65.4 / 67.6 / 58.4 (measured here, one seed; docs/reproduce.md).
"""

_base_ = './fvit_tiny_shapes-ov.py'

model = dict(
    rpn_head=dict(type='NormRPNHead', norm_cfg=dict(type='BN')),
    roi_head=dict(
        bbox_head=dict(beta=0.6, clip_temperature=50.0, background_weight=0.9),
        mask_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0),
            out_channels=64,
            featmap_strides=[2, 4, 8, 16],
            finest_scale=28,
        ),
        mask_head=dict(
            type='FCNMaskHead',
            num_convs=4,
            in_channels=64,
            conv_out_channels=32,
            num_classes=1,
            class_agnostic=True,
            norm_cfg=dict(type='BN'),
            loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0),
        ),
    ),
    train_cfg=dict(rcnn=dict(assigner=dict(match_low_quality=True), mask_size=28)),
    test_cfg=dict(rcnn=dict(score_thr=0.0001, nms=dict(iou_threshold=0.5), max_per_img=300)),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    *_base_.train_pipeline[2:],
]
train_dataloader = dict(
    dataset=dict(
        ann_file='annotations/lvis_train.json',
        data_prefix=dict(img=''),  # LVIS names images with their folder
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(dataset=dict(ann_file='annotations/lvis_val.json', data_prefix=dict(img='')))
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='OpenVocabLVISMetric', metric=['bbox', 'segm'])
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='lvis/segm_apr'))
