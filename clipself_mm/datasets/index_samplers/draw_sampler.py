"""The epoch sampler whose indices say which epoch of which run they belong to."""

from __future__ import annotations

from collections.abc import Iterator

from mmengine.dataset import DefaultSampler
from mmengine.registry import DATA_SAMPLERS

from ..draw import Draw


@DATA_SAMPLERS.register_module()
class DrawSampler(DefaultSampler):
    """MMEngine's `DefaultSampler` yielding `Draw` indices.

    The order of indices is that of the parent. `number` of a draw is the epoch, which
    `DistSamplerSeedHook` sets, in a resumed run too.
    """

    def __iter__(self) -> Iterator[Draw]:
        """Yield the indices of this process for the current epoch."""
        for index in super().__iter__():
            yield Draw(index, self.seed, self.epoch)
