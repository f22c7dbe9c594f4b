"""CLIPSelf that trains the last 9 blocks, instead of all 12.

    tools/dist_train.sh \
        configs/clipself/ablations/clipself_eva02-b16_blocks-9_8xb2-6e_coco-boxes.py 8 --amp

Expected top-1 / top-5 of boxes: 68.7 / 88.7 (paper, Table 1b, row 4).
"""

_base_ = './clipself_eva02-b16_patches_8xb2-6e_coco-boxes.py'

model = dict(unlocked_blocks=9)
