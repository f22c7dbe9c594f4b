"""Check of the masks of annotations: polygons, and run lengths as numbers or as text."""

from __future__ import annotations

import math
from collections.abc import Iterable

_EXPECTED = (
    'expected polygons [[x, y, x, y, x, y, ...], ...] of three points or more, or run lengths '
    "{'size': [height, width], 'counts': [...] or text}"
)
_FAR = 1e6
"""Pixels beyond which a coordinate is wrong; pycocotools draws each line point by point."""


def check_masks(annotations: Iterable[dict], sizes: dict, path: str) -> None:
    """Check that annotations have masks.

    Args:
        annotations: Entries with `image_id` and `segmentation`.
        sizes: Image id to (height, width).
        path: The annotation file, for the error.

    Raises:
        ValueError: Some masks are missing or wrong; the error has their number and the first.
    """
    wrong, first, total = 0, '', 0
    for annotation in annotations:
        total += 1
        problem = mask_problem(annotation.get('segmentation'), *sizes[annotation['image_id']])
        if problem:
            wrong += 1
            first = first or f'segmentation of annotation {annotation.get("id")} {problem}'
    if wrong:
        raise ValueError(
            f'{path}: {wrong} of {total} annotations have no valid mask, the first: {first}; '
            f'{_EXPECTED}. Without masks, use a config with boxes only'
        )


def mask_problem(segmentation: object, height: int, width: int) -> str:
    """Say what is wrong with a segmentation; empty if nothing is.

    Args:
        segmentation: Value of the key in the json.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
    """
    if not segmentation:
        return f'is {segmentation!r}'
    if isinstance(segmentation, dict):
        return _run_length_problem(segmentation, height, width)
    if not isinstance(segmentation, list) or not all(isinstance(p, list) for p in segmentation):
        return f'is {segmentation!r:.60}, no list of polygons'
    for polygon in segmentation:
        if len(polygon) < 6 or len(polygon) % 2 or not _are_numbers(polygon):
            return f'has the polygon {polygon!r:.60}'
    return ''


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
