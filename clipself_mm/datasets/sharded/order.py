"""In which order images of shards come, so that each reader goes from front to back.

The shards of a pass are put in a random order and their images one after another. This line is cut
into equal parts, one for each process, and these into equal lanes. Each image is in one lane of
one process, each lane is a few shards and perhaps pieces of two, and lanes are read at the same
time, a batch from each in turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

_SHARDS, _WINDOW = 1, 2  # which random choice: no two share their numbers


def share(total: int, part: int, parts: int) -> tuple[int, int]:
    """First and end of one of equal parts of ``range(total)``; sizes differ by at most 1."""
    return part * total // parts, (part + 1) * total // parts


def segments(
    counts: np.ndarray, order: Sequence[int], first: int, end: int
) -> Iterator[tuple[int, int]]:
    """Cut a piece of the line into what lies in one shard each.

    Args:
        counts: Images of each shard.
        order: Shards in the order they stand in the line.
        first: Where in the line the piece begins.
        end: Where it ends.

    Yields:
        Index of the first image and number of images, in the order of the line.
    """
    starts = np.cumsum(counts) - counts
    begin = 0
    for shard in order:
        count = int(counts[shard])
        low, high = max(first, begin), min(end, begin + count)
        if low < high:
            yield int(starts[shard]) + low - begin, high - low
        begin += count
        if begin >= end:
            return


def shuffled_lane(
    pieces: Iterator[tuple[int, int]], seed: int, number: int, window: int
) -> Iterator[int]:
    """Shuffle the images of a lane within windows, which do not cross shards.

    Args:
        pieces: From `segments`.
        seed: Seed of the run.
        number: Pass over the data.
        window: Images of a window; 1 leaves the order.

    Yields:
        Indices of images.
    """
    for start, count in pieces:
        for first in range(start, start + count, window):
            size = min(window, start + count - first)
            generator = np.random.default_rng([seed, number, first, _WINDOW])
            yield from (first + generator.permutation(size)).tolist()


def in_turn(lanes: Sequence[Iterator], batch_size: int, start: int) -> Iterator[tuple]:
    """Take a batch from each lane in turn; where a lane is empty the next takes over.

    Args:
        lanes: What is read at the same time.
        batch_size: Items of a batch.
        start: Items of the process before the first; it decides whose turn it is and how far
            its batch is.

    Yields:
        Item and number of its lane.
    """
    left = list(enumerate(lanes))
    position = start
    while left:
        place = position // batch_size % len(lanes) % len(left)
        number, lane = left[place]
        wanted = batch_size - position % batch_size
        before = position
        for item in islice(lane, wanted):
            position += 1
            yield item, number
        if position - before < wanted:
            left.pop(place)


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
    """One process's images of one pass.

    Args:
        counts: Images of each shard.
        seed: Seed of the run.
        number: Pass over the data.
        rank: Number of the process.
        world_size: Number of processes.
        lanes: Streams each process reads at the same time.
        batch_size: Images of a batch; a batch is of one lane.
        window: See `shuffled_lane`.
        shuffle: Whether shards and images are shuffled.
        start: Images the process drew in earlier passes.

    Yields:
        Index of an image and its lane.
    """
    order = np.arange(len(counts))
    if shuffle:
        order = np.random.default_rng([seed, number, 0, _SHARDS]).permutation(order)
    first, end = share(int(counts.sum()), rank, world_size)
    streams = []
    for lane in range(lanes):
        low, high = share(end - first, lane, lanes)
        pieces = segments(counts, order, first + low, first + high)
        streams.append(shuffled_lane(pieces, seed, number, window if shuffle else 1))
    return in_turn(streams, batch_size, start)
