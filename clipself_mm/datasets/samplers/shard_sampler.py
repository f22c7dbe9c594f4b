"""Samplers that read shards sequentially, so that each is opened once per pass."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from typing import TYPE_CHECKING

from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import Sampler

from ..seeded_index import SeededIndex
from ..sharded.order import shard_order, share
from ..sharded_images import ShardedImages

if TYPE_CHECKING:
    from typing import Self


class LaneIndex(SeededIndex):
    """A `SeededIndex` of `ShardedImages`.

    The lane selects the open shard to read from. It is not part of the key.

    Args:
        index: See `SeededIndex`.
        seed: See `SeededIndex`.
        number: See `SeededIndex`.
        lane: Index of the lane in its process.
    """

    lane: int

    def __new__(cls, index: int, seed: int = 0, number: int = 0, lane: int = 0) -> Self:
        """Make the index; see the class for the arguments."""
        seeded = super().__new__(cls, index, seed, number)
        seeded.lane = int(lane)
        return seeded

    def __reduce__(self) -> tuple:
        """Pickle with the lane."""
        return LaneIndex, (int(self), self.seed, self.number, self.lane)


@DATA_SAMPLERS.register_module()
class ShardSampler(Sampler):
    """Yields each image once per epoch, in an order that reads every shard sequentially.

    As with mmengine's `DefaultSampler`, all processes get equally many images: if the number
    is not divisible by the world size, some processes repeat one image. `number` of an index is
    the epoch: the regions of an image do not depend on the numbers of processes and lanes. The
    order of images does, so resume a run with the same numbers of both.

    Args:
        dataset: A `ShardedImages`.
        batch_size: Batch size of the dataloader. Another value only costs speed.
        lanes: Number of shards each process reads at the same time. A multiple of `num_workers` is
            fastest: each worker then reads its own lanes. `num_workers` may change in a resumed
            run, `lanes` may not.
        shuffle: Whether shards, and images within the dataset's `window`, are shuffled.
        seed: Seed of the run, the same in all processes.

    Raises:
        ValueError: The dataset has fewer images than there are processes.
    """

    def __init__(
        self,
        dataset: ShardedImages,
        batch_size: int = 1,
        lanes: int = 4,
        shuffle: bool = True,
        seed: int | None = None,
    ) -> None:
        if not isinstance(dataset, ShardedImages):
            raise TypeError(
                f'{type(self).__name__}: expected a ShardedImages, got a {type(dataset).__name__}'
            )
        if lanes < 1 or batch_size < 1:
            raise ValueError(f'lanes and batch_size are at least 1, not {lanes} and {batch_size}')
        self.rank, self.world_size = get_dist_info()
        self.size = len(dataset)
        if self.size < self.world_size:
            raise ValueError(
                f'{dataset.ann_file}: {self.size} images for {self.world_size} processes, expected '
                'at least one image per process'
            )
        self.dataset = dataset
        self.batch_size = batch_size
        self.lanes = lanes
        self.shuffle = shuffle
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0
        first, end = share(self.size, self.rank, self.world_size)
        self.own = end - first

    def pass_over(self, number: int, start: int = 0) -> Iterator[LaneIndex]:
        """Yield the indices of this process in one pass, each of its images once.

        Args:
            number: The pass.
            start: Number of images of this process in earlier passes, see `shard_order`.
        """
        order = shard_order(
            self.dataset.counts,
            self.seed,
            number,
            rank=self.rank,
            world_size=self.world_size,
            lanes=self.lanes,
            batch_size=self.batch_size,
            window=self.dataset.window,
            shuffle=self.shuffle,
            start=start,
        )
        for index, lane in order:
            yield LaneIndex(index, self.seed, number, lane)

    def __iter__(self) -> Iterator[LaneIndex]:
        """Yield the indices of this process for the current epoch."""
        yield from self.pass_over(self.epoch)
        for _ in range(len(self) - self.own):
            yield next(self.pass_over(self.epoch))

    def __len__(self) -> int:
        """Number of indices of this process in an epoch."""
        return -(-self.size // self.world_size)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; called by `DistSamplerSeedHook`."""
        self.epoch = epoch


@DATA_SAMPLERS.register_module()
class InfiniteShardSampler(ShardSampler):
    """Infinite passes over the shards; each pass has every image once.

    `number` of an index is the pass. A resumed run continues like the uninterrupted one: newer
    MMEngine calls `skip`, which opens no shard; older MMEngine loads batches and drops them.

    Takes the arguments of `ShardSampler`.
    """

    _skipped = 0

    def __iter__(self) -> Iterator[LaneIndex]:
        """Yield the indices of this process, without end."""
        first, rest = divmod(self._skipped, self.own)
        for number in count(first):
            yield from islice(self.pass_over(number, number * self.own), rest, None)
            rest = 0

    def skip(self, num_samples: int) -> None:
        """Skip the first indices; called by newer MMEngine.

        Args:
            num_samples: Number of indices of this process, from the start of the run.
        """
        if num_samples < 0:
            raise ValueError(f'num_samples is at least 0, not {num_samples}')
        self._skipped = num_samples

    def __len__(self) -> int:
        """Number of images, as in mmengine's `InfiniteSampler`."""
        return self.size

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: the stream has no epochs."""
