"""Samplers that read shards in order, so that each is opened once a pass."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice

from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import Sampler

from ..seeded_index import SeededIndex
from ..sharded.order import shard_order, share
from ..sharded_images import ShardedImages


class LaneIndex(SeededIndex):
    """A `SeededIndex` of `ShardedImages`.

    The lane decides which open shard serves it, never what is drawn.

    Args:
        index: See `SeededIndex`.
        seed: See `SeededIndex`.
        number: See `SeededIndex`.
        lane: Number of the stream in its process.

    Attributes:
        lane: As the argument.
    """

    lane: int

    def __new__(cls, index: int, seed: int = 0, number: int = 0, lane: int = 0) -> LaneIndex:
        """Make the index; see the class for the arguments."""
        draw = super().__new__(cls, index, seed, number)
        draw.lane = int(lane)
        return draw

    def __reduce__(self) -> tuple:
        """Pickle with the lane."""
        return LaneIndex, (int(self), self.seed, self.number, self.lane)


@DATA_SAMPLERS.register_module()
class ShardSampler(Sampler):
    """Yields each image once an epoch, in an order that lets every reader go from front to back.

    As with mmengine's `DefaultSampler` all processes draw equally often: where the images do not
    divide, some draw one of theirs twice. `number` of a draw is the epoch, so the regions drawn of
    an image do not depend on processes and lanes; the order of images does, so a run is resumed
    with the numbers it began with.

    Args:
        dataset: A `ShardedImages`.
        batch_size: That of the dataloader. Another number costs speed, nothing else.
        lanes: Shards each process reads at the same time; best a multiple of `num_workers`,
            which then keep their lanes. It does not depend on `num_workers`, so that these may
            change in a resumed run.
        shuffle: Whether shards, and images within the data set's `window`, are shuffled.
        seed: Seed of the run; the same in all processes.

    Raises:
        TypeError: The data set is another.
        ValueError: It has fewer images than there are processes.
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
                f'{type(self).__name__} orders the shards of ShardedImages, not of '
                f'{type(dataset).__name__}'
            )
        if lanes < 1 or batch_size < 1:
            raise ValueError(f'lanes and batch_size are at least 1, not {lanes} and {batch_size}')
        self.rank, self.world_size = get_dist_info()
        self.size = len(dataset)
        if self.size < self.world_size:
            raise ValueError(
                f'{dataset.ann_file}: {self.size} images for {self.world_size} processes'
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
        """This process's draws of one pass, each of its images once.

        Args:
            number: The pass.
            start: Images drawn before it, see `shard_order`.
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
        """Yield the draws of this process for the current epoch."""
        yield from self.pass_over(self.epoch)
        for _ in range(len(self) - self.own):
            yield next(self.pass_over(self.epoch))

    def __len__(self) -> int:
        """Draws of this process in an epoch."""
        return -(-self.size // self.world_size)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; called by `DistSamplerSeedHook`."""
        self.epoch = epoch


@DATA_SAMPLERS.register_module()
class InfiniteShardSampler(ShardSampler):
    """Pass after pass over the shards; in each, every image is drawn once.

    `number` of a draw is the pass. A resumed run goes on where the unbroken one would be: newer
    MMEngine calls `skip`, for which no shard is opened; older MMEngine draws and drops batches.

    Takes the arguments of `ShardSampler`.
    """

    _skipped = 0

    def __iter__(self) -> Iterator[LaneIndex]:
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
