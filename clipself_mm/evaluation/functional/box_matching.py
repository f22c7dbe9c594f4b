"""Detections matched with annotated boxes as COCO does, and the average precision of the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask

HIT, WRONG, IGNORED = 1, 0, -1
"""Outcomes of a detection: right, wrong, on a crowd (neither)."""
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, eq=False)
class BoxTruth:
    """Annotated boxes of one image.

    Attributes:
        boxes_xywh: Float64 of shape (G, 4).
        labels: Shape (G).
        crowd: Bool of shape (G); such boxes are no objects to find.
    """

    boxes_xywh: np.ndarray
    labels: np.ndarray
    crowd: np.ndarray


def truth_by_image(annotations: Sequence[Mapping]) -> dict[int, BoxTruth]:
    """Group annotations with numbered images and categories, see `ground_truth`.

    Args:
        annotations: With `image_id`, `category_id` (label + 1), `bbox` and `iscrowd`.

    Returns:
        Image number to its boxes; without images that have none.
    """
    grouped: dict[int, list[Mapping]] = {}
    for annotation in annotations:
        grouped.setdefault(annotation['image_id'], []).append(annotation)
    return {
        number: BoxTruth(
            np.array([entry['bbox'] for entry in entries], np.float64).reshape(-1, 4),
            np.array([entry['category_id'] - 1 for entry in entries]),
            np.array([bool(entry['iscrowd']) for entry in entries]),
        )
        for number, entries in grouped.items()
    }


def overlaps(boxes: np.ndarray, truth: BoxTruth) -> np.ndarray:
    """IoU of detections with annotated boxes; with a crowd, the share of the detection.

    Args:
        boxes: (x0, y0, x1, y1), shape (N, 4).
        truth: G boxes.

    Returns:
        Shape (N, G).
    """
    if not len(boxes) or not len(truth.labels):
        return np.zeros((len(boxes), len(truth.labels)))
    xywh = np.asarray(boxes, np.float64).copy()
    xywh[:, 2:] -= xywh[:, :2]
    return coco_mask.iou(xywh, truth.boxes_xywh, truth.crowd.astype(np.uint8))


def match_boxes(
    iou: np.ndarray, labels: np.ndarray, truth: BoxTruth, threshold: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Match the detections of an image with objects of their class, the best scores first.

    Args:
        iou: Result of `overlaps`, shape (N, G), the highest score first.
        labels: Shape (N).
        truth: G boxes.
        threshold: Least IoU.

    Returns:
        Outcome of each detection, and index of its object or -1, of shapes (N).
    """
    outcomes = np.full(len(labels), WRONG)
    objects = np.full(len(labels), -1)
    possible = (iou >= threshold) & (labels[:, None] == truth.labels[None])
    free = ~truth.crowd
    for row in np.flatnonzero(possible.any(1)):
        candidates = np.flatnonzero(possible[row] & free)
        if len(candidates):  # of equal overlaps COCO takes the last
            best = candidates[::-1][np.argmax(iou[row, candidates[::-1]])]
            outcomes[row], objects[row], free[best] = HIT, best, False
        elif (possible[row] & truth.crowd).any():
            outcomes[row] = IGNORED
    return outcomes, objects


def average_precision(
    scores: np.ndarray, outcomes: np.ndarray, labels: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """COCO's average precision per class at one IoU threshold.

    Args:
        scores: Of all N detections, in the order of the images.
        outcomes: See `match_boxes`, shape (N).
        labels: Shape (N).
        counts: Number of objects per class, shape (K).

    Returns:
        Shape (K): fractions, -1 for a class without objects.
    """
    kept = outcomes != IGNORED
    scores, outcomes, labels = scores[kept], outcomes[kept], labels[kept]
    order = np.argsort(-scores, kind='stable')
    order = order[np.argsort(labels[order], kind='stable')]
    hits, starts = outcomes[order], np.searchsorted(labels[order], np.arange(len(counts) + 1))
    result = np.full(len(counts), -1.0)
    for label in np.flatnonzero(counts):
        found = np.cumsum(hits[starts[label] : starts[label + 1]])
        precision = found / (np.arange(1, len(found) + 1) + np.spacing(1))
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        points = np.searchsorted(found / counts[label], _RECALLS, side='left')
        result[label] = np.append(precision, 0.0)[points].mean()
    return result
