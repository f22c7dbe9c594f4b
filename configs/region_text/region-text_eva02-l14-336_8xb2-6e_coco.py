"""EVA-02 CLIP ViT-L/14-336 refined with region-text pairs on COCO (paper, sections 4.4 and A.4).

    tools/dist_test.sh configs/region_text/pseudo-labels_eva02-b16_coco.py "" 8
    tools/dist_train.sh configs/region_text/region-text_eva02-l14-336_8xb2-6e_coco.py 8 --amp

The first command makes the pairs.
The paper gives this tower's detector only (Table A5); region classification is not measured yet.
"""

_base_ = [
    '../_base_/models/region-text_eva02-l14-336.py',
    '../_base_/datasets/region-text_896_coco.py',
    '../_base_/datasets/panoptic-val_896-336_coco.py',
    '../_base_/schedules/distill_6e_eva02.py',
    '../_base_/distill_runtime.py',
]
