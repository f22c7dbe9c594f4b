"""MMEngine's samplers with indices that carry the seed of every random choice for a sample."""

from __future__ import annotations

from collections.abc import Iterator

from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.registry import DATA_SAMPLERS

from ..seeded_index import SeededIndex


@DATA_SAMPLERS.register_module()
class SeededSampler(DefaultSampler):
    """MMEngine's `DefaultSampler` yielding `SeededIndex` indices.

    The order of indices is that of the parent. `number` of a draw is the epoch, which
    `DistSamplerSeedHook` sets, in a resumed run too.
    """

    def __iter__(self) -> Iterator[SeededIndex]:
        """Yield the indices of this process for the current epoch."""
        for index in super().__iter__():
            yield SeededIndex(index, self.seed, self.epoch)


@DATA_SAMPLERS.register_module()
class InfiniteSeededSampler(InfiniteSampler):
    """MMEngine's `InfiniteSampler` yielding `SeededIndex` indices.

    `number` of a draw is the pass over the data set, counted in the stream all processes share.
    It is a property of the position in that stream, so a stream that is fast-forwarded, by the
    parent's `skip` (newer MMEngine) or by drawing and dropping (older), goes on as the unbroken
    one.
    """

    def _infinite_indices(self) -> Iterator[SeededIndex]:
        """Yield the stream shared by all processes, before it is sliced by rank."""
        for position, index in enumerate(super()._infinite_indices()):
            yield SeededIndex(index, self.seed, position // self.size)
