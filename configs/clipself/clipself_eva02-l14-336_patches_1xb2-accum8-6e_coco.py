"""The paper's batch of 16 on one GPU: 8 batches of 2 are accumulated before each update.

    python tools/train.py configs/clipself/clipself_eva02-l14-336_patches_1xb2-accum8-6e_coco.py \
        --amp

Each batch's loss is a mean over its own regions, so a region of a batch with few counts more than
on 8 GPUs (docs/scale.md). Iterations are batches, not updates: warm-up, schedule and intervals of
checkpoints are given in them.

Expected top-1 of boxes / stuff masks: not measured yet; 77.1 / 44.4 on 8 GPUs (paper, Table A2).
"""

_base_ = './clipself_eva02-l14-336_patches_8xb2-6e_coco.py'

optim_wrapper = dict(accumulative_counts=8)
param_scheduler = [
    dict(type='WarmupCosineLR', warmup=8000, end=6, by_epoch=True, convert_to_iter_based=True)
]
