"""What the published weights of this recipe really had: one GPU, batch 2, about 44,000 steps.

The release does not synchronise gradients, so each of its 8 GPUs trained alone on an eighth of the
data. This config is that training at an eighth of the GPU hours.

    python tools/train.py configs/clipself/clipself_eva02-b16_patches_1xb2-44k_coco.py --amp

Expected top-1 of boxes / stuff masks: 72.1 / 46.8 (paper, Table 2).
"""

_base_ = './clipself_eva02-b16_patches_8xb2-6e_coco.py'

train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=44000, val_interval=11000)
param_scheduler = [dict(type='WarmupCosineLR', warmup=1000, end=44000)]
train_dataloader = dict(sampler=dict(_delete_=True, type='InfiniteDrawSampler'))
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=2000))
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(base_batch_size=2)
