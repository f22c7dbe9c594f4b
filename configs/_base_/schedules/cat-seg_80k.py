"""Optimisation of CAT-Seg: AdamW over 80k iterations of batch 4, the tower at 0.01 of the rate."""

train_cfg = dict(type='IterBasedTrainLoop', max_iters=80000, val_interval=8000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-4, weight_decay=1e-4),
    clip_grad=dict(max_norm=0.01),
    paramwise_cfg=dict(custom_keys={'backbone.tower': dict(lr_mult=0.01)}),
)
param_scheduler = [
    dict(type='CosineAnnealingLR', eta_min=0, begin=0, end=80000, T_max=80000, by_epoch=False)
]
auto_scale_lr = dict(enable=False, base_batch_size=4)
