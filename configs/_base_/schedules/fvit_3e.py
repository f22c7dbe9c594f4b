"""Optimisation of F-ViT on OV-COCO: AdamW 1e-4, 3 epochs of 8 x 8 images (paper, section 4.3).

Train in mixed precision (``--amp``) on GPUs, as the authors' release. It scales the loss by
512 throughout, which is ``--amp --cfg-options optim_wrapper.type=AmpOptimWrapper
optim_wrapper.loss_scale=512.0``; ``--amp`` alone adapts the scale.

The full rate is reached after 250 iterations, which mmengine wants to be told as ``end=251``.
"""

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.1),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=251)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=3, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
# As the release: another number of images a step trains at a rate in proportion.
auto_scale_lr = dict(enable=True, base_batch_size=64)
