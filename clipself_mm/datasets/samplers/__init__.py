"""Samplers of dataloaders, whose indices carry seeds."""

from .seeded_sampler import InfiniteSeededSampler, SeededSampler
from .shard_sampler import InfiniteShardSampler, ShardSampler

__all__ = ['InfiniteSeededSampler', 'InfiniteShardSampler', 'SeededSampler', 'ShardSampler']
