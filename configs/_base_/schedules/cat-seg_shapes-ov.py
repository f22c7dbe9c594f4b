"""Optimisation of the miniature CAT-Seg."""

_base_ = './cat-seg_80k.py'

train_cfg = dict(max_iters=500, val_interval=500)
optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=1.0))
param_scheduler = [
    dict(type='CosineAnnealingLR', eta_min=0, begin=0, end=500, T_max=500, by_epoch=False)
]
