"""mmdet's RPN R50-FPN on the boxes of OV-COCO's 48 base classes (paper, section 4.2).

    tools/dist_train.sh configs/rpn/rpn_r50-fpn_8xb2-1x_ov-coco.py 8

Not measured yet. The paper does not say which network its RPN is, how long it was trained or what
it recalls; this is mmdet's recipe with the base boxes in place of all. The metric says apart how
many of the base and of the novel objects of val2017 have a proposal on them; the best checkpoint is
chosen by the base ones. The backbone starts from ImageNet's weights (docs/proposals.md).
"""

_base_ = ['mmdet::rpn/rpn_r50_fpn_1x_coco.py']

custom_imports = dict(imports=['clipself_mm'], allow_failed_imports=False)
train_dataloader = dict(
    dataset=dict(type='OpenVocabCocoDataset', vocabulary='ov_coco', base_only=True)
)
val_dataloader = dict(
    dataset=dict(type='OpenVocabCocoDataset', vocabulary='ov_coco', annotated_only=True)
)
test_dataloader = val_dataloader
val_evaluator = dict(
    _delete_=True,
    type='OpenVocabProposalRecall',
)
test_evaluator = val_evaluator
default_hooks = dict(
    checkpoint=dict(
        type='DurableCheckpointHook',
        max_keep_ckpts=2,
        save_best='proposals/base_ar100',
        rule='greater',
    )
)
auto_scale_lr = dict(enable=False, base_batch_size=16)
randomness = dict(seed=0)
