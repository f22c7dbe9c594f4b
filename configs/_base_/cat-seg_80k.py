"""What trainings of CAT-Seg share: AdamW over 80k iterations of batch 4, as its public code.

Both towers train at 0.01 of the rate; norms have no weight decay.
"""

_base_ = './segmentation_runtime.py'

train_cfg = dict(type='IterBasedTrainLoop', max_iters=80000, val_interval=8000)
towers = dict(lr_mult=0.01)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-4, weight_decay=1e-4),
    clip_grad=dict(max_norm=0.01),
    paramwise_cfg=dict(
        norm_decay_mult=0, custom_keys={'backbone.tower': towers, 'decode_head.prompts': towers}
    ),
)
param_scheduler = [
    dict(type='CosineAnnealingLR', eta_min=0, begin=0, end=80000, T_max=80000, by_epoch=False)
]
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=8000),
)
log_processor = dict(by_epoch=False)
