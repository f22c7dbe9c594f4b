"""Samplers of dataloaders: which image comes when."""

from .seeded_sampler import DrawSampler, InfiniteDrawSampler
from .shard_sampler import InfiniteShardDrawSampler, ShardDrawSampler

__all__ = ['DrawSampler', 'InfiniteDrawSampler', 'InfiniteShardDrawSampler', 'ShardDrawSampler']
