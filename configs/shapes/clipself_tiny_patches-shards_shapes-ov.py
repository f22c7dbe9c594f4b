"""CLIPSelf of the tiny CLIP with patches of pictures in WebDataset's tar shards.

    python tools/make_shapes_ov.py
    python tools/make_shards.py data/shapes_ov/train data/shapes_ov/shards --size 50
    python tools/train.py configs/shapes/clipself_tiny_patches-shards_shapes-ov.py

Expected top-1 of boxes / stuff masks: not measured yet. As many iterations as 14 epochs of 600
pictures have.
"""

_base_ = './clipself_tiny_patches-folder_shapes-ov.py'

train_dataloader = dict(
    sampler=dict(_delete_=True, type='InfiniteShardSampler', batch_size=2, lanes=2),
    dataset=dict(type='ShardedImages', source='shards/index.json', window=64),
)
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=4200, val_interval=4200)
param_scheduler = [dict(type='WarmupCosineLR', warmup=50, end=4200)]
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=300))
log_processor = dict(by_epoch=False)
