"""A detector trained on Shapes-OV's LVIS files detects its COCO vocabulary (Table 4) in miniature.

    python tools/test.py configs/shapes/transfer_tiny_shapes-ov.py \
        work_dirs/fvit_tiny_shapes-ov-lvis/epoch_3.pth

The vocabulary lists the classes in another order and splits nothing: one alpha for all of them.
Expected AP / AP50 with the demo's tower: 47.6 / 74.3 (measured here; docs/reproduce.md).
"""

_base_ = [
    '../_base_/models/fvit_tiny.py',
    '../_base_/datasets/shapes-ov_detection-val.py',
    '../_base_/detection_runtime.py',
]

model = dict(
    rpn_head=dict(type='NormRPNHead', norm_cfg=dict(type='BN')),
    roi_head=dict(
        bbox_head=dict(
            vocabulary='shapes_coco',
            alpha=0.3,
            clip_temperature=120.0,
            cls_predictor_cfg=dict(temperature=50.0, learn_temperature=False),
        ),
    ),
    test_cfg=dict(rcnn=dict(score_thr=0.0001, nms=dict(iou_threshold=0.5), max_per_img=300)),
)
val_dataloader = dict(dataset=dict(vocabulary='shapes_coco'))
test_dataloader = val_dataloader
val_evaluator = dict(proposal_nums=(100, 300, 1000))
test_evaluator = val_evaluator
test_cfg = dict(type='TestLoop')
val_cfg = dict(type='ValLoop')
auto_scale_lr = dict(enable=False, base_batch_size=4)
