"""EVA-02 CLIP ViT-B/16 refined with region-text pairs on COCO (paper, sections 4.4 and A.4).

    tools/dist_test.sh configs/region_text/pseudo-labels_eva02-b16_coco.py "" 8
    tools/dist_train.sh configs/region_text/region-text_eva02-b16_8xb2-6e_coco.py 8 --amp

The first command makes the pairs.
Expected top-1 of boxes / thing masks / stuff masks: 71.1 / 73.7 / 34.2 (paper, Table 7). The
authors' file of pairs has 4,764 nouns (docs/region-text.md); with the 1,203 here not measured yet.
"""

_base_ = [
    '../_base_/models/region-text_eva02-b16.py',
    '../_base_/datasets/region-text_1024_coco.py',
    '../_base_/datasets/panoptic-val_1024-224_coco.py',
    '../_base_/schedules/distill_6e_eva02.py',
    '../_base_/distill_runtime.py',
]
