"""Optimisation and runtime of CLIPSelf as its published weights had them: 44,358 steps of 2 images.

AdamW at 1e-5. The steps are six times the share of COCO that each of the release's 8 GPUs had in an
epoch (7,393); gradients were not synchronised there, so it is one GPU's training. `alpha` and the
optimizer are those of EVA-02 ViT-B/16; other towers' leaves differ. The release trains in mixed
precision: give ``--amp`` on GPUs.
"""

_base_ = '../distill_runtime.py'

optim_wrapper = dict(
    type='OptimWrapper',
    constructor='NoBiasDecayConstructor',
    prefer_fused=True,
    optimizer=dict(type='AdamW', lr=1e-5, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1),
)
param_scheduler = [dict(type='WarmupCosineLR', warmup=1000, end=44358)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=44358, val_interval=7393)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=2000),
    weight_ensemble=dict(type='WeightEnsembleHook', alpha=0.7),
)
log_processor = dict(by_epoch=False)
# The rate was never scaled: each of the release's GPUs trained for itself.
auto_scale_lr = dict(enable=False, base_batch_size=2)
