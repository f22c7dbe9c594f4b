"""The region proposals of a trained miniature F-ViT, written for CLIPSelf to distil.

    python tools/test.py configs/shapes/rpn_tiny_shapes-ov.py \
        work_dirs/fvit_tiny_shapes-ov/epoch_3.pth

Its RPN has seen base classes only and proposes novel objects as well (paper, section 4.2). The RoI
head of the checkpoint stays unused (mmengine logs `unexpected key`).
"""

_base_ = [
    '../_base_/models/fvit_tiny.py',
    '../_base_/datasets/shapes-ov_detection-val.py',
    '../_base_/detection_runtime.py',
]

model = dict(
    _delete_=True,
    type='RPN',
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=_base_.model.backbone,
    neck=_base_.model.neck,
    rpn_head=_base_.model.rpn_head,
    train_cfg=None,
    test_cfg=dict(
        rpn=dict(
            nms_pre=500,
            max_per_img=60,
            nms=dict(type='nms', iou_threshold=0.5),
            min_bbox_size=0,
        )
    ),
)
test_dataloader = dict(
    dataset=dict(ann_file='annotations/instances_train.json', data_prefix=dict(img='train/'))
)
test_evaluator = dict(
    _delete_=True,
    type='ProposalJsonWriter',
    out_file='data/shapes_ov/annotations/rpn_proposals.json',
    score_thr=0.3,
    max_per_img=20,
)
test_cfg = dict(type='ResumableTestLoop')
val_dataloader = test_dataloader
val_evaluator = test_evaluator
val_cfg = dict(type='ValLoop')
auto_scale_lr = dict(enable=False, base_batch_size=4)
