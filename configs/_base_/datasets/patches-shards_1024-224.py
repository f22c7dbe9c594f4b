"""Regions to distil: pictures in tar shards; student 1024 px, crops 224 px."""

_base_ = './patches-folder_1024-224.py'

train_dataloader = dict(
    # `batch_size` is the dataloader's, `lanes` a multiple of `num_workers`.
    sampler=dict(_delete_=True, type='InfiniteShardDrawSampler', batch_size=2, lanes=4),
    dataset=dict(type='ShardedImages', source='data/image-shards/index.json', window=256),
)
