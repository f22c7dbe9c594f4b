"""Segments of an image at all scales: neighbouring cells merge, the most alike first.

Pure numpy. A segment that stays unmerged for long is unlike its surroundings, as in MSER.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np


class Segment(NamedTuple):
    """Connected cells that merge with others as a whole.

    Attributes:
        cells: Indices of its cells, row by row.
        persistence: How much farther its nearest neighbour is than its own last merge, in cosine
            distance.
    """

    cells: list[int]
    persistence: float


def merge_cells(features: np.ndarray) -> list[Segment]:
    """Merge 4-connected cells until one segment is left.

    The distance of two segments is 1 - cos of the sums of their features. Levels never fall: a
    merge that is nearer than an earlier one counts at the earlier level.

    Args:
        features: Shape (h, w, D).

    Returns:
        All segments but the whole map, single cells included, in the order of their ends.
    """
    height, width, _ = features.shape
    count = height * width
    sums = list(features.reshape(count, -1).astype(np.float64))
    norms = [float(np.linalg.norm(item)) for item in sums]
    cells = [[index] for index in range(count)]
    births = [0.0] * count
    near: list[set[int]] = [set() for _ in range(count)]
    for index in range(count):
        row, column = divmod(index, width)
        if column + 1 < width:
            near[index].add(index + 1)
            near[index + 1].add(index)
        if row + 1 < height:
            near[index].add(index + width)
            near[index + width].add(index)

    def distance(one: int, other: int) -> float:
        return 1 - float(sums[one] @ sums[other]) / max(norms[one] * norms[other], 1e-12)

    queue = [(distance(one, other), one, other) for one in range(count) for other in near[one]]
    queue = [item for item in queue if item[1] < item[2]]
    heapq.heapify(queue)
    merged: set[int] = set()
    segments, level = [], 0.0
    while queue:
        apart, one, other = heapq.heappop(queue)
        if one in merged or other in merged:
            continue
        level = max(level, apart)
        for part in (one, other):
            segments.append(Segment(cells[part], level - births[part]))
        merged |= {one, other}
        new = len(sums)
        sums.append(sums[one] + sums[other])
        norms.append(float(np.linalg.norm(sums[new])))
        cells.append(cells[one] + cells[other])
        births.append(level)
        near.append((near[one] | near[other]) - merged)
        for neighbour in near[new]:
            near[neighbour].add(new)
            heapq.heappush(queue, (distance(new, neighbour), neighbour, new))
    return segments


def segment_boxes(segments: list[Segment], width: int) -> tuple[np.ndarray, np.ndarray]:
    """Tight boxes of segments.

    Args:
        segments: S segments of a map.
        width: Columns of the map.

    Returns:
        Boxes xyxy in cells, the maxima exclusive, float64 of shape (S, 4), and the persistences,
        shape (S).
    """
    boxes = np.zeros((len(segments), 4))
    for box, segment in zip(boxes, segments, strict=True):
        rows, columns = np.divmod(segment.cells, width)
        box[:] = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    return boxes, np.array([segment.persistence for segment in segments])
