"""Gives the proposals of LVIS v1 train the nouns of COCO's captions (paper, section A.4).

    python tools/test.py configs/region_text/pseudo-labels_eva02-b16_lvis.py
    tools/dist_test.sh configs/region_text/pseudo-labels_eva02-b16_lvis.py "" 8  # on 8 GPUs

Reads lvis_v1_proposals.json (docs/data.md) and, as LVIS's images are COCO's, COCO's
captions_train2017.json; writes lvis_v1_pseudo_1203.json. The nouns include LVIS's rare classes by
name. No number is published for this.
"""

_base_ = './pseudo-labels_eva02-b16_coco.py'

test_dataloader = dict(
    dataset=dict(
        data_root='data/lvis_v1/',
        ann_file='annotations/lvis_v1_proposals.json',
        caption_file='../coco/annotations/captions_train2017.json',
        data_prefix=dict(img=''),
    )
)
test_evaluator = dict(
    out_file='data/lvis_v1/annotations/lvis_v1_pseudo_1203.json',
)
