"""Order of the images of shards, in which every shard is read sequentially.

In each pass the shards are shuffled and their images concatenated to one sequence. The sequence is
split into equal parts, one per process, and each part into equal lanes. A lane consists of whole
shards, except the first and last, which it may share with its neighbours. A process reads its lanes
in parallel, one batch from each in turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

_SHARDS, _WINDOW = 1, 2  # last part of the seeds, so that shards and windows differ


def share(total: int, part: int, parts: int) -> tuple[int, int]:
    """Start and end of one of equal parts of ``range(total)``; sizes differ by at most 1."""
    return part * total // parts, (part + 1) * total // parts


def segments(
    counts: np.ndarray, order: np.ndarray, first: int, end: int
) -> Iterator[tuple[int, int]]:
    """Split a range of the sequence at the borders of shards.

    Args:
        counts: Number of images per shard.
        order: Order of the shards in the sequence.
        first: Start of the range.
        end: End of the range (exclusive).

    Yields:
        Index of the first image and number of images of each segment, in the order of the sequence.
    """
    starts = np.cumsum(counts) - counts
    offset = 0
    for shard in order:
        count = int(counts[shard])
        low, high = max(first, offset), min(end, offset + count)
        if low < high:
            yield int(starts[shard]) + low - offset, high - low
        offset += count
        if offset >= end:
            return


def shuffled_lane(
    pieces: Iterator[tuple[int, int]], seed: int, number: int, window: int
) -> Iterator[int]:
    """Shuffle the images of a lane within windows, which do not cross shards.

    Args:
        pieces: Output of `segments`.
        seed: Seed of the run.
        number: Pass over the data.
        window: Number of images per window; 1 does not shuffle.

    Yields:
        Indices of images.
    """
    for start, count in pieces:
        for first in range(start, start + count, window):
            size = min(window, start + count - first)
            generator = np.random.default_rng([seed, number, first, _WINDOW])
            yield from (first + generator.permutation(size)).tolist()


def interleave(
    lanes: Sequence[Iterator[int]], batch_size: int, start: int
) -> Iterator[tuple[int, int]]:
    """Take one batch from each lane in turn; when a lane ends, the next one completes its batch.

    Args:
        lanes: Indices of images, per lane.
        batch_size: Number of images per batch.
        start: Number of images of the process before this pass; it determines the lane to begin
            with and how much of its batch is left.

    Yields:
        Index of an image and its lane.
    """
    open_lanes = list(enumerate(lanes))
    position = start
    while open_lanes:
        turn = position // batch_size % len(lanes) % len(open_lanes)
        lane, indices = open_lanes[turn]
        wanted = batch_size - position % batch_size
        before = position
        for index in islice(indices, wanted):
            position += 1
            yield index, lane
        if position - before < wanted:
            open_lanes.pop(turn)


def shard_order(
    counts: np.ndarray,
    seed: int,
    number: int,
    *,
    rank: int = 0,
    world_size: int = 1,
    lanes: int = 1,
    batch_size: int = 1,
    window: int = 256,
    shuffle: bool = True,
    start: int = 0,
) -> Iterator[tuple[int, int]]:
    """Order of one process's images in one pass.

    Args:
        counts: Number of images per shard.
        seed: Seed of the run.
        number: Pass over the data.
        rank: Rank of the process.
        world_size: Number of processes.
        lanes: Number of lanes per process.
        batch_size: Number of images per batch; a batch is of one lane.
        window: See `shuffled_lane`.
        shuffle: Whether shards and images are shuffled.
        start: Number of images of the process in earlier passes.

    Yields:
        Index of an image and its lane.
    """
    order: np.ndarray = np.arange(len(counts))
    if shuffle:
        order = np.random.default_rng([seed, number, 0, _SHARDS]).permutation(order)
    first, end = share(int(counts.sum()), rank, world_size)
    streams = []
    for lane in range(lanes):
        low, high = share(end - first, lane, lanes)
        pieces = segments(counts, order, first + low, first + high)
        streams.append(shuffled_lane(pieces, seed, number, window if shuffle else 1))
    return interleave(streams, batch_size, start)
