"""An RPN on the frozen EVA-02 CLIP ViT-B/16, on the boxes of OV-COCO's 48 base classes.

    tools/dist_train.sh configs/rpn/rpn_eva02-b16_8xb8-3e_ov-coco.py 8 --amp

Not measured yet. Backbone, pyramid, head, data and schedule are those of F-ViT without its second
stage (configs/fvit/fvit_eva02-b16_8xb8-3e_ov-coco.py); the paper does not say that its RPN
(section 4.2) stands on CLIP. The metric says apart how many of the base and of the novel objects of
val2017 have a proposal on them; the best checkpoint is chosen by the base ones.
"""

_base_ = [
    '../_base_/models/fvit_eva02-b16_ov-coco.py',
    '../_base_/datasets/ov-coco.py',
    '../_base_/schedules/fvit_3e.py',
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
