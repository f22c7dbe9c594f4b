"""Optimisation of CLIPSelf for EVA-02 towers: AdamW 1e-5, 6 epochs (paper, section 4.1).

The authors' release trains in mixed precision: give ``--amp`` on GPUs.
"""

optim_wrapper = dict(
    type='OptimWrapper',
    constructor='MatrixDecayConstructor',
    prefer_fused=True,
    optimizer=dict(type='AdamW', lr=1e-5, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1),
)
param_scheduler = [
    dict(type='WarmupCosineLR', warmup=1000, end=6, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=6, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=16)
