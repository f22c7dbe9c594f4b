"""CLIPSelf of EVA-02 CLIP ViT-L/14-336 with image patches on COCO: 8 GPUs, 6 epochs.

    tools/dist_train.sh configs/clipself/clipself_eva02-l14-336_patches_8xb2-6e_coco.py 8 --amp

The paper's text, never published: the release does not synchronise gradients, so the paper's
numbers are those of clipself_eva02-l14-336_patches_1xb2-44k_coco.py.
"""

_base_ = './clipself_eva02-l14-336_patches_1xb2-44k_coco.py'

param_scheduler = [
    dict(type='WarmupCosineLR', warmup=1000, end=6, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs=6, val_interval=1)
train_dataloader = dict(sampler=dict(_delete_=True, type='SeededSampler', shuffle=True))
default_hooks = dict(
    logger=dict(log_metric_by_epoch=True), checkpoint=dict(by_epoch=True, interval=1)
)
log_processor = dict(by_epoch=True)
auto_scale_lr = dict(base_batch_size=16)
