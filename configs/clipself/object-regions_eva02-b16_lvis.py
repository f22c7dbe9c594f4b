"""Boxes of objects in the images of LVIS v1 train, found without labels by EVA-02 CLIP ViT-B/16.

    tools/dist_test.sh configs/clipself/object-regions_eva02-b16_lvis.py "" 8
    python tools/test.py configs/clipself/object-regions_eva02-b16_lvis.py  # on one GPU

Writes lvis_v1_objects.json, as object-regions_eva02-b16_coco.py does for COCO. LVIS's images are
COCO's: who has coco_objects.json converts it (docs/proposals.md). Not measured on LVIS,
nor on COCO.
"""

_base_ = './object-regions_eva02-b16_coco.py'

test_dataloader = dict(
    dataset=dict(
        data_root='data/lvis_v1/',
        ann_file='annotations/lvis_v1_train.json',
        data_prefix=dict(img=''),
    )
)
test_evaluator = dict(out_file='data/lvis_v1/annotations/lvis_v1_objects.json')
