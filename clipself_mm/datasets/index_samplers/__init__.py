"""Samplers of indices: which image comes when."""

from .draw_sampler import DrawSampler
from .infinite_draw_sampler import InfiniteDrawSampler

__all__ = ['DrawSampler', 'InfiniteDrawSampler']
