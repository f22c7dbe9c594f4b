"""Optimisation and runtime of the tiny tower: a short run, at a rate that suits its size."""

_base_ = '../distill_runtime.py'

optim_wrapper = dict(
    type='OptimWrapper',
    constructor='NoBiasDecayConstructor',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.1),
)
param_scheduler = [
    dict(type='WarmupCosineLR', warmup=50, end=14, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=14, val_interval=14)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(weight_ensemble=dict(type='WeightEnsembleHook', alpha=1.0))
auto_scale_lr = dict(enable=False, base_batch_size=2)
