"""The endless sampler of `ShardedImages`, for training that counts iterations."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice

from mmengine.registry import DATA_SAMPLERS

from .lane_draw import LaneDraw
from .shard_draw_sampler import ShardDrawSampler


@DATA_SAMPLERS.register_module()
class InfiniteShardDrawSampler(ShardDrawSampler):
    """Pass after pass over the shards; in each, every image is drawn once.

    `number` of a draw is the pass. A resumed run goes on where the unbroken one would be: newer
    MMEngine calls `skip`, for which no shard is opened; older MMEngine draws and drops batches.

    Takes the arguments of `ShardDrawSampler`.
    """

    _skipped = 0

    def __iter__(self) -> Iterator[LaneDraw]:
        """Yield the draws of this process, without end."""
        first, rest = divmod(self._skipped, self.own)
        for number in count(first):
            yield from islice(self.pass_over(number, number * self.own), rest, None)
            rest = 0

    def skip(self, num_samples: int) -> None:
        """Begin after draws that were made before.

        Args:
            num_samples: Draws of this process, counted from the start of the run.

        Raises:
            ValueError: It is negative.
        """
        if num_samples < 0:
            raise ValueError(f'num_samples is at least 0, not {num_samples}')
        self._skipped = num_samples

    def __len__(self) -> int:
        """Number of images, as with mmengine's `InfiniteSampler`."""
        return self.size

    def set_epoch(self, epoch: int) -> None:
        """Without effect: the stream has no epochs."""
