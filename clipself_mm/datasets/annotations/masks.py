"""Check of the masks of annotations: polygons, and run lengths as numbers or as text."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence

from mmengine.logging import print_log

_EXPECTED = (
    'expected polygons [[x, y, x, y, x, y, ...], ...] of three points or more, or run lengths '
    "{'size': [height, width], 'counts': [...] or text}"
)
_POINTS = 3
_FAR = 1e6
"""Pixels beyond which a coordinate is wrong; pycocotools draws each line point by point."""


def check_masks(annotations: Iterable[dict], sizes: dict, path: str) -> None:
    """Check that annotations have masks.

    A part with fewer than three points beside whole polygons is left out, with a warning, as mmdet
    does; pycocotools would read four numbers as a box.

    Args:
        annotations: Entries with `image_id`, `bbox` and `segmentation`; changed in place.
        sizes: Image id to (height, width).
        path: The annotation file, for the error.

    Raises:
        ValueError: Some masks are missing or wrong; the error has their number and the first.
    """
    wrong, first, total, short = 0, '', 0, 0
    for annotation in annotations:
        total += 1
        segmentation = annotation.get('segmentation')
        if isinstance(segmentation, list) and all(isinstance(part, list) for part in segmentation):
            whole = [part for part in segmentation if len(part) >= _POINTS * 2]
            if whole and len(whole) < len(segmentation):
                annotation['segmentation'] = segmentation = whole
                short += 1
        height, width = sizes[annotation['image_id']]
        problem = mask_problem(segmentation, height, width, annotation['bbox'])
        if problem:
            wrong += 1
            first = first or f'segmentation of annotation {annotation.get("id")} {problem}'
    if wrong:
        raise ValueError(
            f'{path}: {wrong} of {total} annotations have no valid mask, the first: {first}; '
            f'{_EXPECTED}. Without masks, use a config with boxes only'
        )
    if short:
        print_log(
            f'{path}: masks of {short} of {total} annotations have parts of less than {_POINTS} '
            'points, which are not used',
            logger='current',
            level=logging.WARNING,
        )


def mask_problem(
    segmentation: object, height: int, width: int, box: Sequence[float] | None = None
) -> str:
    """Say what is wrong with a segmentation; empty if nothing is.

    Args:
        segmentation: Value of the key in the json.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        box: x, y, width, height of the annotation, which polygons must touch.
    """
    if not segmentation:
        return f'is {segmentation!r}'
    if isinstance(segmentation, dict):
        return _run_length_problem(segmentation, height, width)
    if not isinstance(segmentation, list) or not all(isinstance(p, list) for p in segmentation):
        return f'is {segmentation!r:.60}, no list of polygons'
    for polygon in segmentation:
        if len(polygon) < _POINTS * 2 or len(polygon) % 2 or not _are_numbers(polygon):
            return f'has the polygon {polygon!r:.60}'
    if box is not None and not any(_touches(polygon, box) for polygon in segmentation):
        return f'is {segmentation!r:.60}, not at its bbox {list(box)}'
    return ''


def _touches(polygon: list, box: Sequence[float]) -> bool:
    """Whether the extent of a polygon is less than a pixel away from a box."""
    columns, rows = polygon[::2], polygon[1::2]
    x, y, w, h = box
    across = min(columns) < x + w + 1 and max(columns) > x - 1
    return across and min(rows) < y + h + 1 and max(rows) > y - 1


def _are_numbers(values: list) -> bool:
    """Whether all values are numbers of pixels; in C, as there are millions."""
    try:
        far = max(map(abs, values), default=0)
    except TypeError:
        return False
    return {*map(type, values)} <= {int, float} and math.isfinite(sum(values)) and far < _FAR


def _run_length_problem(segmentation: dict, height: int, width: int) -> str:
    size, counts = segmentation.get('size'), segmentation.get('counts')
    if size != [height, width]:
        return f'has size {size!r:.40}, the image is {height} high and {width} wide'
    if isinstance(counts, list):
        if not _are_numbers(counts) or min(counts, default=0) < 0:
            return f'has counts {counts!r:.60}, which are not run lengths'
        covered = sum(counts)
    elif isinstance(counts, str):
        try:
            covered = _covered(counts)
        except ValueError as error:
            return f'has counts {counts!r:.40}, {error}'
    else:
        return f'has counts {counts!r:.40}'
    if counts in ([height * width], '') or (isinstance(counts, list) and not sum(counts[1::2])):
        return 'has no pixel'
    if covered != height * width:
        return f'has run lengths of {covered} pixels in all, the image has {height * width}'
    return ''


def _covered(counts: str) -> int:
    """Number of pixels of COCO's compressed run lengths.

    A run is written in groups of 5 bits, the least significant first, each as a character from '0'
    on, with 32 for "more follow" and the sign in bit 16 of the last; from the fourth run on it is
    the difference to the run before the last (pycocotools, maskApi.c).

    Raises:
        ValueError: The text is not in this format.
    """
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        group = ord(character) - 48
        if not 0 <= group < 64:
            raise ValueError(f'in which {character!r} is no run length')
        value |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        if group & 16:
            value -= 1 << shift
        if len(runs) > 2:
            value += runs[-2]
        if value < 0:
            raise ValueError('in which a run is negative')
        runs.append(value)
        value = shift = 0
    if shift:
        raise ValueError('which end within a run')
    return sum(runs)
