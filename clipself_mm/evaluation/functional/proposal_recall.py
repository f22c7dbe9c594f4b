"""COCO's average recall of class-agnostic proposals, per split of the classes.

All classes are evaluated as one. Proposals on objects of other splits therefore count towards the
limit of proposals per image.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from .split_average_precision import mean_where_annotated

Proposals = tuple[np.ndarray, np.ndarray]
"""Boxes xyxy in source pixels, shape (R, 4), and scores, shape (R)."""


def proposal_recall(
    splits: Mapping[str, Sequence[dict]],
    proposals: Mapping[int | str, Proposals],
    limits: Sequence[int] = (10, 100),
) -> dict[str, dict[str, float]]:
    """Recall of the best proposals for the objects of each split.

    The recall is over all objects of all images, not a mean over images or classes. An object is
    matched at most once. Crowds are ignored, and so are proposals on them.

    Args:
        splits: Name to annotations with `image_id`, `bbox` (x, y, width, height in source pixels)
            and optionally `iscrowd`; annotations of images without an entry in `proposals` are
            ignored.
        proposals: Image id to proposals.
        limits: Numbers of best proposals per image, ascending.

    Returns:
        Split to `arN`, the mean over the IoU thresholds 0.50, 0.55, ... 0.95, and `arN_iou50` at
        0.50, for each limit N: fractions, -1 if the split has no object.
    """
    detections = _index(proposals, _entries(proposals, limits[-1]))
    numbers: dict[str, dict[str, float]] = {}
    for split, entries in splits.items():
        objects = [
            _entry(number, annotation['image_id'], annotation['bbox'])
            | {'iscrowd': int(bool(annotation.get('iscrowd')))}
            for number, annotation in enumerate(entries, start=1)
            if annotation['image_id'] in proposals
        ]
        recall = _recall(_index(proposals, objects), detections, limits)
        numbers[split] = {}
        for index, limit in enumerate(limits):
            numbers[split][f'ar{limit}'] = mean_where_annotated(recall[:, index])
            numbers[split][f'ar{limit}_iou50'] = float(recall[0, index])
    return numbers


def _entries(proposals: Mapping[int | str, Proposals], limit: int) -> list[dict]:
    """The best proposals per image in COCO's format."""
    entries: list[dict] = []
    for image, (boxes, scores) in proposals.items():
        for index in np.argsort(-np.asarray(scores), kind='stable')[:limit]:
            x0, y0, x1, y1 = (float(edge) for edge in boxes[index])
            entry = _entry(len(entries) + 1, image, [x0, y0, x1 - x0, y1 - y0])
            entries.append(entry | {'score': float(scores[index])})
    return entries


def _entry(number: int, image: int | str, box: Sequence[float]) -> dict:
    area = box[2] * box[3]
    return {'id': number, 'image_id': image, 'category_id': 1, 'bbox': list(box), 'area': area}


def _index(images: Mapping[int | str, object], entries: list[dict]) -> COCO:
    """Index of boxes of one class, for pycocotools."""
    index = COCO()
    index.dataset = {
        'images': [{'id': image} for image in images],
        'annotations': entries,
        'categories': [{'id': 1, 'name': 'object'}],
    }
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        index.createIndex()
    return index


def _recall(truth: COCO, detections: COCO, limits: Sequence[int]) -> np.ndarray:
    """Recall per IoU threshold and limit, shape (10, M); -1 without an object."""
    evaluator = COCOeval(truth, detections, 'bbox')
    evaluator.params.maxDets = list(limits)
    evaluator.params.areaRng, evaluator.params.areaRngLbl = [[0, 1e10]], ['all']
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator.evaluate()
        evaluator.accumulate()
    return evaluator.eval['recall'][:, 0, 0]
