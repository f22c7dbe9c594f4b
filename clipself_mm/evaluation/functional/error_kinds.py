"""Kinds of detection errors, and what each costs (TIDE; Bolya et al., ECCV 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .box_matching import HIT, IGNORED, BoxTruth, average_precision, match_boxes, overlaps
from .split_average_precision import mean_where_annotated

WRONG_CLASS, BADLY_PLACED, WRONG_CLASS_AND_PLACE, DUPLICATE, BACKGROUND, MISSED = KINDS = (
    'wrong class',
    'badly placed',
    'wrong class, badly placed',
    'duplicate',
    'background',
    'missed',
)
_FOREGROUND, _BACKGROUND = 0.5, 0.1
"""TIDE's IoU thresholds."""


@dataclass(frozen=True, eq=False)
class ImageErrors:
    """Detections of one image with their kind of error.

    Attributes:
        scores: Of N detections, the highest first.
        labels: Shape (N).
        outcomes: See `match_boxes`, shape (N).
        kinds: Index into `KINDS` of wrong detections, else -1, shape (N).
        objects: Index of the object that the detection finds or, with the right class and place,
            would find; else -1. Shape (N).
        missed: Indices of objects without a hit and without a detection that would find them.
    """

    scores: np.ndarray
    labels: np.ndarray
    outcomes: np.ndarray
    kinds: np.ndarray
    objects: np.ndarray
    missed: np.ndarray


def image_errors(
    boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, truth: BoxTruth | None
) -> ImageErrors:
    """Sort the wrong detections of an image by kind.

    With the IoU t of the best object: an object of the class with 0.1 <= t < 0.5 is badly placed,
    one of another class with t >= 0.5 has the wrong class, an object that a better detection has
    found makes a duplicate, t < 0.1 with all objects is background, all else is wrong in class and
    place.

    Args:
        boxes: (x0, y0, x1, y1), the highest score first, shape (N, 4).
        scores: Shape (N).
        labels: Shape (N).
        truth: G boxes; None for an image without any.
    """
    if truth is None:
        truth = BoxTruth(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0, bool))
    iou = overlaps(boxes, truth)
    outcomes, objects = match_boxes(iou, labels, truth)
    kinds = np.full(len(labels), -1)
    iou = np.where(truth.crowd[None], 0.0, iou)
    same = labels[:, None] == truth.labels[None]
    own, other = np.where(same, iou, 0.0), np.where(same, 0.0, iou)
    for row in np.flatnonzero((outcomes != HIT) & (outcomes != IGNORED)):
        own_best, other_best = own[row].max(initial=0.0), other[row].max(initial=0.0)
        if _BACKGROUND <= own_best < _FOREGROUND:
            kind, objects[row] = BADLY_PLACED, own[row].argmax()
        elif other_best >= _FOREGROUND:
            kind, objects[row] = WRONG_CLASS, other[row].argmax()
        elif own_best >= _FOREGROUND:
            kind = DUPLICATE
        elif max(own_best, other_best) < _BACKGROUND:
            kind = BACKGROUND
        else:
            kind = WRONG_CLASS_AND_PLACE
        kinds[row] = KINDS.index(kind)
    missed = np.setdiff1d(np.flatnonzero(~truth.crowd), objects)
    return ImageErrors(scores, labels, outcomes, kinds, objects, missed)


def error_costs(
    images: Sequence[ImageErrors],
    truth: Sequence[BoxTruth | None],
    classes: int,
    chosen: Sequence[int],
) -> dict[str, float]:
    """AP50 that each kind of error costs: its gain if only these errors were mended.

    As in TIDE a badly placed detection and one of the wrong class become hits of their object if
    no other detection finds it, else they are removed; the others are removed, and missed objects
    do not count.

    Args:
        images: Errors per image.
        truth: Boxes per image.
        classes: Number of classes K.
        chosen: Labels of the classes whose mean AP counts.

    Returns:
        Kind to fraction.
    """
    counts = _object_counts(truth, classes)
    plain = _mean_ap(images, counts, chosen)
    costs = {}
    for number, kind in enumerate(KINDS):
        if kind == MISSED:
            missed = [
                boxes.labels[item.missed]
                for item, boxes in zip(images, truth, strict=True)
                if boxes is not None
            ]
            fewer = counts - np.bincount(
                np.concatenate([*missed, np.zeros(0, int)]), minlength=classes
            )
            # A class whose objects are all missed has no AP left: mending gives it all.
            costs[kind] = _mean_ap(images, fewer, chosen, full=counts > fewer) - plain
            continue
        mended = [_mended(item, boxes, number) for item, boxes in zip(images, truth, strict=True)]
        costs[kind] = _mean_ap(mended, counts, chosen) - plain
    return costs


def confusion_matrix(
    images: Sequence[tuple[np.ndarray, np.ndarray]],
    truth: Sequence[BoxTruth | None],
    classes: int,
) -> np.ndarray:
    """Count which class is given to the objects of each class.

    Detections are matched with the free object of the highest IoU, at least 0.5, whatever its
    class.

    Args:
        images: Boxes (N, 4) and labels (N) per image, the highest score first.
        truth: Boxes per image.
        classes: Number of classes K.

    Returns:
        Shape (K + 1, K + 1): row of the object's class, column of the detection's; the last row is
        of detections without an object, the last column of objects without a detection.
    """
    matrix = np.zeros((classes + 1, classes + 1), int)
    for (boxes, labels), annotated in zip(images, truth, strict=True):
        if annotated is None:
            matrix[classes, :classes] += np.bincount(labels, minlength=classes)
            continue
        blind = BoxTruth(annotated.boxes_xywh, np.zeros_like(annotated.labels), annotated.crowd)
        outcomes, objects = match_boxes(overlaps(boxes, blind), np.zeros_like(labels), blind)
        hits = outcomes == HIT
        np.add.at(matrix, (annotated.labels[objects[hits]], labels[hits]), 1)
        np.add.at(matrix, (classes, labels[(outcomes != HIT) & (outcomes != IGNORED)]), 1)
        left = np.setdiff1d(np.flatnonzero(~annotated.crowd), objects[hits])
        np.add.at(matrix, (annotated.labels[left], classes), 1)
    return matrix


def _object_counts(truth: Sequence[BoxTruth | None], classes: int) -> np.ndarray:
    labels = [boxes.labels[~boxes.crowd] for boxes in truth if boxes is not None]
    return np.bincount(np.concatenate([*labels, np.zeros(0, int)]), minlength=classes)


def _mended(item: ImageErrors, truth: BoxTruth | None, number: int) -> ImageErrors:
    """The detections of an image without one kind of error."""
    outcomes, labels = item.outcomes.copy(), item.labels.copy()
    kept = item.kinds != number
    taken = set(item.objects[item.outcomes == HIT].tolist())
    for row in np.flatnonzero(~kept):
        target = int(item.objects[row])
        if truth is None or target < 0 or target in taken:
            continue
        taken.add(target)
        kept[row], outcomes[row], labels[row] = True, HIT, truth.labels[target]
    return replace(
        item,
        scores=item.scores[kept],
        labels=labels[kept],
        outcomes=outcomes[kept],
        kinds=item.kinds[kept],
        objects=item.objects[kept],
    )


def _mean_ap(
    images: Sequence[ImageErrors],
    counts: np.ndarray,
    chosen: Sequence[int],
    full: np.ndarray | None = None,
) -> float:
    values = average_precision(
        np.concatenate([item.scores for item in images]),
        np.concatenate([item.outcomes for item in images]),
        np.concatenate([item.labels for item in images]),
        counts,
    )
    if full is not None:
        values[full & (counts == 0)] = 1.0
    return mean_where_annotated(values[list(chosen)])
