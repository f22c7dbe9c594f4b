"""This recipe on one GPU: batch 2 for the 44,000 steps that the release takes on COCO.

The release does not synchronise gradients, so each of its 8 GPUs trains alone on an eighth of the
data: 44,000 steps are six such shares of COCO and, LVIS having fewer images, seven of its own.

    python tools/train.py configs/clipself/clipself_openai-l14-336_proposals_1xb2-44k_lvis.py --amp

No number is published for this combination.
"""

_base_ = './clipself_openai-l14-336_proposals_8xb2-6e_lvis.py'

train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=44000, val_interval=11000)
param_scheduler = [dict(type='WarmupCosineLR', warmup=1000, end=44000)]
train_dataloader = dict(sampler=dict(_delete_=True, type='InfiniteDrawSampler'))
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=2000))
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(base_batch_size=2)
