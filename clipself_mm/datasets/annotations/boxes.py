"""Annotated boxes: their check, and which of them show an object."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

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
        extents: Image id to the largest x + width and y + height of its boxes, see `extend`.
    """

    def __init__(self, path: str, images: int = 0) -> None:
        self.path = path
        self.images = images
        self.used = 0
        self.unused: Counter[str] = Counter()
        self.beyond = 0
        self.extents: dict[Key, tuple[float, float]] = {}
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

    def extend(self, image: dict, box: list[float]) -> None:
        """Note how far a box reaches, which tells the frame of an image with EXIF orientation.

        A box without area, or beyond the square of the longest side, tells nothing.

        Args:
            image: Its image, with `width` and `height` perhaps.
            box: x, y, width, height in source pixels.
        """
        right, bottom = box[0] + box[2], box[1] + box[3]
        limit = max(image.get('width') or math.inf, image.get('height') or math.inf) + 1
        if box[2] > 0 and box[3] > 0 and right <= limit and bottom <= limit:
            before = self.extents.get(image['id'], (0.0, 0.0))
            self.extents[image['id']] = max(before[0], right), max(before[1], bottom)

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

    def report(self, needed: bool = True, classes: Sequence[str] = ()) -> None:
        """Log the line and the warnings.

        Args:
            needed: Whether it is an error that no box is used.
            classes: Classes that should have boxes; a warning names those without any.

        Raises:
            ValueError: No box is used.
        """
        if needed and not self.used:
            reason = self.unused.most_common(1)[0][0] if self.unused else ''
            hint = f': {_HINTS[reason]}' if reason in _HINTS else ''
            raise ValueError(f'{self.path}: no box can be used ({self}){hint}')
        print_log(f'{self.path}: {self}', logger='current')
        empty = [n for n in classes if not self._used_of[n] and n not in self._lost_of]
        more = [f'{len(empty)} of {len(classes)} classes have no box: {empty[:5]}'] if empty else []
        for warning in [*self.warnings(), *more]:
            print_log(f'{self.path}: {warning}', logger='current', level=logging.WARNING)


class AnnotatedBox(NamedTuple):
    """A box of an annotation file.

    Attributes:
        annotation: Its entry.
        box: x, y, width, height in source pixels.
        label: Its label, -1 for other classes or without labels.
        reason: Why it is not used, None if it is.
    """

    annotation: dict
    box: list[float]
    label: int
    reason: str | None


def read_boxes(
    content: dict,
    counts: BoxCounts,
    label_of: Mapping[Key, int] | None = None,
    classes: Sequence[str] = (),
    novel: Collection[str] = (),
    min_side: float = 0,
    crowds: bool = False,
) -> Iterator[AnnotatedBox]:
    """Read the boxes of an annotation file in its order, and count why some are not used.

    Args:
        content: Content of the file, see `load_coco_json`.
        counts: Counts of the file; changed.
        label_of: Category id to label. None for boxes without classes; annotations without `bbox`
            are then left out.
        classes: Names of the labels.
        novel: Classes whose boxes are not used.
        min_side: Smallest width and height in pixels.
        crowds: Whether crowds, and boxes with `ignore`, are used.

    Raises:
        ValueError: A box is not four finite numbers.
    """
    image_of = {image['id']: image for image in content['images']}
    for annotation in content.get('annotations', []):
        if label_of is None and 'bbox' not in annotation:
            continue
        box = check_box(annotation.get('bbox'), annotation.get('id'), counts.path)
        image = image_of.get(annotation['image_id'])
        if image is not None:
            counts.extend(image, box)
        label = -1 if label_of is None else label_of.get(annotation['category_id'], -1)
        name = classes[label] if label >= 0 and classes else None
        if label_of is not None and label < 0:
            reason: str | None = OTHER_CLASS
            counts.add(OTHER_CLASS)
        elif name in novel:
            reason = NOVEL
            counts.add(NOVEL)
        else:
            reason = counts.judge(annotation, box, image, name, min_side, crowds)
        yield AnnotatedBox(annotation, box, label, reason)


def boxes_by_image(boxes: Iterable[AnnotatedBox]) -> dict[Key, np.ndarray]:
    """Collect the boxes of each image.

    Args:
        boxes: The boxes.

    Returns:
        Image id to boxes x, y, width, height in source pixels, float64 of shape (R, 4), in the
        order of the file.
    """
    collected: dict[Key, list] = {}
    for annotation, box, *_ in boxes:
        collected.setdefault(annotation['image_id'], []).append(box)
    return {key: np.array(group, np.float64) for key, group in collected.items()}
