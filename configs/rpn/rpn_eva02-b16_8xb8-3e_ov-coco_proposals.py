"""The proposals of the RPN on the frozen tower on COCO's training images, for CLIPSelf to distil.

    tools/dist_train.sh configs/rpn/rpn_eva02-b16_8xb8-3e_ov-coco.py 8 --amp
    tools/dist_test.sh configs/rpn/rpn_eva02-b16_8xb8-3e_ov-coco_proposals.py CHECKPOINT 8

Writes a pickle of the 100 best of each image, for `tools/convert_proposals.py` to choose from anew,
and the json that `ImageRegions` reads, 20 an image (docs/proposals.md). Suppression, least
score and number are choices of ours, the paper gives none. Not measured yet.
"""

_base_ = './rpn_eva02-b16_8xb8-3e_ov-coco.py'

model = dict(test_cfg=dict(rpn=dict(max_per_img=100, nms=dict(type='nms', iou_threshold=0.5))))
test_dataloader = dict(
    dataset=dict(
        base_only=True,
        annotated_only=False,
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
    )
)
test_evaluator = [
    dict(
        type='DumpProposals',
        output_dir='data/coco/proposals',
        proposals_file='rpn-eva02-b16_train2017.pkl',
    ),
    dict(
        type='ProposalJsonWriter',
        out_file='data/coco/annotations/rpn-eva02-b16_proposals.json',
        score_thr=0.3,
        max_per_img=20,
    ),
]
test_cfg = dict(type='ResumableTestLoop')
val_dataloader = test_dataloader
val_evaluator = test_evaluator
