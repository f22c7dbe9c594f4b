"""Regions to distil on Shapes-OV: grid patches of pictures in tar shards."""

_base_ = './patches-folder_shapes-ov.py'

train_dataloader = dict(
    sampler=dict(_delete_=True, type='InfiniteShardDrawSampler', batch_size=2, lanes=2),
    dataset=dict(type='ShardedImages', source='shards/index.json', window=64),
)
