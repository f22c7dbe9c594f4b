"""The proposals of the RPN on the frozen tiny CLIP on the training images, for CLIPSelf to distil.

    python tools/train.py configs/shapes/rpn_tiny-frozen_shapes-ov.py
    python tools/test.py configs/shapes/rpn_tiny-frozen_shapes-ov_proposals.py \
        work_dirs/rpn_tiny-frozen_shapes-ov/epoch_3.pth

Writes them as a pickle, for `tools/convert_proposals.py`, and as the json that `ImageRegions`
reads, chosen by the numbers of rpn_tiny_shapes-ov.py (docs/proposals.md). Not measured yet.
"""

_base_ = './rpn_tiny-frozen_shapes-ov.py'

model = dict(test_cfg=dict(rpn=dict(max_per_img=60, nms=dict(type='nms', iou_threshold=0.5))))
test_dataloader = dict(
    dataset=dict(
        base_only=True,
        ann_file='annotations/instances_train_all.json',
        data_prefix=dict(img='train/'),
    )
)
test_evaluator = [
    dict(
        type='DumpProposals',
        output_dir='data/shapes_ov/proposals',
        proposals_file='rpn-frozen_train.pkl',
    ),
    dict(
        type='ProposalJsonWriter',
        out_file='data/shapes_ov/annotations/rpn-frozen_proposals.json',
        score_thr=0.3,
        max_per_img=20,
    ),
]
test_cfg = dict(type='ResumableTestLoop')
val_dataloader = test_dataloader
val_evaluator = test_evaluator
