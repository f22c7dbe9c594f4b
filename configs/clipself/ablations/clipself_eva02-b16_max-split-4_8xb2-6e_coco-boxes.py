"""CLIPSelf whose grids have up to 4 rows and columns, instead of 6.

    tools/dist_train.sh \
        configs/clipself/ablations/clipself_eva02-b16_max-split-4_8xb2-6e_coco-boxes.py 8 --amp

Expected top-1 / top-5 of boxes: 71.3 / 90.1 (paper, Table 1a, row 2).
"""

_base_ = './clipself_eva02-b16_patches_8xb2-6e_coco-boxes.py'

_base_.train_dataloader.dataset.pipeline[1].sampler.max_split = 4
