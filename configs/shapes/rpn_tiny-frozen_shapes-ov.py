"""An RPN alone on the frozen tiny CLIP: configs/rpn in miniature (paper, section 4.2).

    python tools/make_shapes_ov.py
    python tools/train.py configs/shapes/rpn_tiny-frozen_shapes-ov.py

Trained on the boxes of base classes with F-ViT's schedule; recall is measured on base and novel
objects apart: of 100 proposals with IoU 0.5 it is 91.5 / 98.5 (measured here, original tower, seed
0). rpn_tiny_shapes-ov.py takes the RPN of a trained F-ViT instead.
"""

_base_ = [
    '../_base_/models/fvit_tiny.py',
    '../_base_/datasets/shapes-ov_detection.py',
    '../_base_/schedules/fvit_shapes-ov.py',
    '../_base_/detection_runtime.py',
]

model = dict(
    _delete_=True,
    type='RPN',
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=_base_.model.backbone,
    neck=_base_.model.neck,
    rpn_head=_base_.model.rpn_head,
    train_cfg=dict(rpn=_base_.model.train_cfg.rpn),
    test_cfg=dict(rpn=_base_.model.test_cfg.rpn),
)
val_evaluator = dict(type='OpenVocabProposalRecall')
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='proposals/base_ar100'))
