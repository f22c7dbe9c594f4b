"""CLIPSelf with image patches, measured on the boxes of COCO: the default of Table 1.

    tools/dist_train.sh \
        configs/clipself/ablations/clipself_eva02-b16_patches_8xb2-6e_coco-boxes.py 8 --amp

Expected top-1 / top-5 of boxes: 72.1 / 91.3 (paper, Table 1: M = 6, 12 blocks, 1024 px). The
training is that of configs/clipself/clipself_eva02-b16_patches_8xb2-6e_coco.py.
"""

_base_ = [
    '../../_base_/models/clipself_eva02-b16.py',
    '../../_base_/datasets/patches_1024-224_coco.py',
    '../../_base_/datasets/box-val_1024-224_coco.py',
    '../../_base_/schedules/distill_6e_eva02.py',
    '../../_base_/distill_runtime.py',
]

model = dict(classifier=dict(vocabulary='coco'))
