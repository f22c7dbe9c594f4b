"""Samplers of indices: which image comes when."""

from .draw_sampler import DrawSampler
from .infinite_draw_sampler import InfiniteDrawSampler
from .infinite_shard_draw_sampler import InfiniteShardDrawSampler
from .shard_draw_sampler import ShardDrawSampler

__all__ = ['DrawSampler', 'InfiniteDrawSampler', 'InfiniteShardDrawSampler', 'ShardDrawSampler']
