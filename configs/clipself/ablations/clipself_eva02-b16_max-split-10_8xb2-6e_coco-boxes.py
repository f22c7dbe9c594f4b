"""CLIPSelf whose grids have up to 10 rows and columns, instead of 6.

    tools/dist_train.sh \
        configs/clipself/ablations/clipself_eva02-b16_max-split-10_8xb2-6e_coco-boxes.py 8 --amp

Expected top-1 / top-5 of boxes: 70.0 / 90.2 (paper, Table 1a, row 5).
"""

_base_ = './clipself_eva02-b16_patches_8xb2-6e_coco-boxes.py'

_base_.train_dataloader.dataset.pipeline[1].sampler.max_split = 10
