"""MMEngine's samplers with seeded indices."""

from __future__ import annotations

from collections.abc import Iterator

from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.registry import DATA_SAMPLERS

from ..seeded_index import SeededIndex


@DATA_SAMPLERS.register_module()
class SeededSampler(DefaultSampler):
    """MMEngine's `DefaultSampler` that yields `SeededIndex`.

    The order of indices is that of the parent. Their `number` is the epoch, which
    `DistSamplerSeedHook` sets, also in a resumed run.
    """

    def __iter__(self) -> Iterator[SeededIndex]:
        """Yield the indices of this process for the current epoch."""
        for index in super().__iter__():
            yield SeededIndex(index, self.seed, self.epoch)


@DATA_SAMPLERS.register_module()
class InfiniteSeededSampler(InfiniteSampler):
    """MMEngine's `InfiniteSampler` that yields `SeededIndex`.

    `number` of an index is the pass over the dataset, counted in the stream that all processes
    share. It depends only on the position in that stream: a resumed run that skips (newer MMEngine)
    or consumes (older) the first indices gets the same ones as the uninterrupted run.
    """

    def _infinite_indices(self) -> Iterator[SeededIndex]:
        """Yield the stream that all processes share, before it is sliced by rank."""
        for position, index in enumerate(super()._infinite_indices()):
            yield SeededIndex(index, self.seed, position // self.size)
