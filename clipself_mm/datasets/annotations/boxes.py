"""Annotated boxes: their check, and which of them show an object."""

from __future__ import annotations

import logging
import math
from collections import Counter
from typing import Any

import numpy as np
from mmengine.logging import print_log

from .coco_json import Key, is_number

NO_IMAGE = 'of images that are not listed'
OTHER_CLASS = 'of other classes'
NOVEL = 'of novel classes'
IGNORED = "with 'ignore'"
CROWD = 'crowd'
NO_AREA = 'without area'
SMALL = 'below 1 px'
OUTSIDE = 'outside the image'

_INTENDED = (OTHER_CLASS, NOVEL)
"""Reasons that follow from the vocabulary: no loss."""
_LOST = 0.2
"""Share of lost boxes from which a warning is logged."""
_BEYOND = 0.1
"""Share of boxes beyond their image from which a warning is logged."""
_HINTS = {
    NOVEL: 'base_only=True leaves them out',
    OTHER_CLASS: "the vocabulary lists other classes than 'categories'",
    CROWD: "annotations drawn with a brush are often exported with 'iscrowd' 1: set it to 0",
    NO_AREA: "'bbox' is x, y, width, height in pixels",
    SMALL: "are they fractions of the image? 'bbox' is x, y, width, height in pixels",
    OUTSIDE: "are 'width' and 'height' those of the image? 'bbox' is x, y, width, height",
    NO_IMAGE: "'image_id' should be the 'id' of an entry of 'images'",
}


def check_box(box: Any, annotation_id: object, path: str) -> list[float]:  # noqa: ANN401
    """Check an annotated box.

    Args:
        box: Value of `bbox`.
        annotation_id: Id of the annotation, for the error.
        path: The annotation file, for the error.

    Returns:
        x, y, width, height in source pixels.

    Raises:
        ValueError: The box is not four finite numbers.
    """
    edges = box if isinstance(box, (list, tuple)) else ()
    if len(edges) != 4 or not all(map(is_number, edges)):
        raise ValueError(
            f'{path}: bbox of annotation {annotation_id} is {box!r:.80}, expected four finite '
            'numbers x, y, width, height'
        )
    return [float(edge) for edge in edges]


def annotated_area(annotation: dict) -> float:
    """Return `area` of an annotation in square pixels, 0 unless it is a positive number."""
    area = annotation.get('area')
    return max(0.0, float(area)) if is_number(area) else 0.0


def why_unused(
    box: list[float], width: float | None, height: float | None, min_side: float = 0
) -> str | None:
    """Say why a box shows no object.

    Args:
        box: x, y, width, height in source pixels.
        width: Width of the image in pixels, None if unknown.
        height: Height of the image in pixels, None if unknown.
        min_side: Smallest width and height in pixels.

    Returns:
        `NO_AREA`, `OUTSIDE`, `SMALL`, or None for a box that shows one.
    """
    x, y, w, h = box
    if w <= 0 or h <= 0:
        return NO_AREA
    if x + w <= 0 or y + h <= 0 or (width and x >= width) or (height and y >= height):
        return OUTSIDE
    return SMALL if min(w, h) < min_side else None


def reaches_beyond(box: list[float], width: float | None, height: float | None) -> bool:
    """Whether a box x, y, width, height reaches beyond its image by more than one pixel."""
    x, y, w, h = box
    right, bottom = (width or math.inf) + 1, (height or math.inf) + 1
    return x < -1 or y < -1 or x + w > right or y + h > bottom


class BoxCounts:
    """Counts the boxes of an annotation file by the reason why they are not used.

    Args:
        path: The annotation file.
        images: Number of its images.

    Attributes:
        images: Number of images.
        used: Number of boxes that are used.
        unused: Reason to number of boxes.
        beyond: Number of used boxes and crowds that reach more than one pixel beyond their image.
    """

    def __init__(self, path: str, images: int = 0) -> None:
        self.path = path
        self.images = images
        self.used = 0
        self.unused: Counter[str] = Counter()
        self.beyond = 0
        self._used_of: Counter[str] = Counter()
        self._lost_of: dict[str, Counter[str]] = {}

    def add(self, reason: str | None, name: str | None = None) -> None:
        """Count one box.

        Args:
            reason: Why it is not used, None if it is.
            name: Its class.
        """
        if reason is None:
            self.used += 1
            if name is not None:
                self._used_of[name] += 1
            return
        self.unused[reason] += 1
        if name is not None and reason not in _INTENDED:
            self._lost_of.setdefault(name, Counter())[reason] += 1

    def judge(
        self,
        annotation: dict,
        box: list[float],
        image: dict | None,
        name: str | None = None,
        min_side: float = 0,
        crowds: bool = False,
    ) -> str | None:
        """Count one box, and say why it is not used.

        Args:
            annotation: Its entry, with `iscrowd` and `ignore` perhaps.
            box: x, y, width, height in source pixels.
            image: Its image, with `width` and `height` perhaps; None if it is not listed.
            name: Its class.
            min_side: Smallest width and height in pixels.
            crowds: Whether crowds, and boxes with `ignore`, are used.

        Returns:
            The reason, or None for a box that is used.
        """
        if image is None:
            reason: str | None = NO_IMAGE
        else:
            size = image.get('width'), image.get('height')
            reason = why_unused(box, *size, min_side)
            if reason is None:
                self.beyond += reaches_beyond(box, *size)
                if not crowds and annotation.get('iscrowd'):
                    reason = CROWD
                elif not crowds and annotation.get('ignore'):
                    reason = IGNORED
        self.add(reason, name)
        return reason

    def __str__(self) -> str:
        """Return one line: images, boxes, why some are not used, boxes used."""
        total = self.used + sum(self.unused.values())
        parts = [f'{count:,} {reason}' for reason, count in self.unused.most_common()]
        parts.append(f'{self.used:,} used')
        if self.beyond:
            parts.append(f'{self.beyond:,} of these reach beyond their image')
        return f'{self.images:,} images, {total:,} boxes: {", ".join(parts)}'

    def warnings(self) -> list[str]:
        """Return a sentence for each reason to doubt the file."""
        lost = Counter({key: n for key, n in self.unused.items() if key not in _INTENDED})
        found = []
        if lost.total() > _LOST * (lost.total() + self.used):
            reason, count = lost.most_common(1)[0]
            found.append(
                f'{lost.total():,} of {lost.total() + self.used:,} boxes are not used, '
                f'{count:,} are {reason}: {_HINTS.get(reason, "")}'.rstrip(': ')
            )
        for name, reasons in self._lost_of.items():
            if not self._used_of[name]:
                reason, count = reasons.most_common(1)[0]
                found.append(f'no box of class {name!r} is used: {count:,} are {reason}')
        if self.beyond > _BEYOND * self.used:
            found.append(
                f'{self.beyond:,} of {self.used:,} boxes reach beyond their image: are they '
                "x, y, width, height, and are 'width' and 'height' those of the image?"
            )
        return found

    def report(self, needed: bool = True) -> None:
        """Log the line and the warnings.

        Args:
            needed: Whether it is an error that no box is used.

        Raises:
            ValueError: No box is used.
        """
        if needed and not self.used:
            reason = self.unused.most_common(1)[0][0] if self.unused else ''
            hint = f': {_HINTS[reason]}' if reason in _HINTS else ''
            raise ValueError(f'{self.path}: no box can be used ({self}){hint}')
        print_log(f'{self.path}: {self}', logger='current')
        for warning in self.warnings():
            print_log(f'{self.path}: {warning}', logger='current', level=logging.WARNING)


def boxes_by_image(annotations: list[dict], path: str) -> dict[Key, np.ndarray]:
    """Collect the boxes of each image.

    Crowd boxes are kept, as in the official implementation: a region may show several objects.

    Args:
        annotations: Entries with `image_id` and `bbox` (x, y, width, height in pixels); an entry
            without `bbox` is ignored.
        path: The annotation file, for the error.

    Returns:
        Image id to boxes x, y, width, height in source pixels, float64 of shape (R, 4), in the
        order of the file.

    Raises:
        ValueError: A box is not four finite numbers.
    """
    collected: dict[Key, list] = {}
    for annotation in annotations:
        if 'bbox' not in annotation:
            continue
        box = check_box(annotation['bbox'], annotation.get('id'), path)
        collected.setdefault(annotation['image_id'], []).append(box)
    return {key: np.array(boxes, np.float64) for key, boxes in collected.items()}
