"""Which share of the objects of each split has a proposal on it, by COCO's rules.

Average recall as COCO has it, with all classes as one: a proposal has no class, so those on objects
of other splits take up places among the best as well.
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

    A recall is the share of all objects of the images, not a mean over images or classes. Each
    object is matched once at most; a crowd neither counts nor is a proposal on it held against
    the others.

    Args:
        splits: Name to annotations with `image_id`, `bbox` (x, y, width, height in source pixels)
            and perhaps `iscrowd`; those of other images are passed over.
        proposals: Image id to proposals, of the images that count.
        limits: Numbers of best proposals an image, ascending.

    Returns:
        Split to `arN`, the mean over the IoU thresholds 0.50, 0.55, ... 0.95, and `arN_iou50` at
        0.50, for each limit N: fractions, -1 where the split has no object.
    """
    found = _index(proposals, _entries(proposals, limits[-1]))
    answer = {}
    for split, entries in splits.items():
        objects = [
            _entry(number, annotation['image_id'], annotation['bbox'])
            | {'iscrowd': int(bool(annotation.get('iscrowd')))}
            for number, annotation in enumerate(entries, start=1)
            if annotation['image_id'] in proposals
        ]
        recall = _recall(_index(proposals, objects), found, limits)
        answer[split] = {}
        for place, limit in enumerate(limits):
            answer[split][f'ar{limit}'] = mean_where_annotated(recall[:, place])
            answer[split][f'ar{limit}_iou50'] = float(recall[0, place])
    return answer


def _entries(proposals: Mapping[int | str, Proposals], limit: int) -> list[dict]:
    """The best proposals of each image in COCO's format."""
    entries = []
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
    """Index boxes of the one class for pycocotools."""
    index = COCO()
    index.dataset = {
        'images': [{'id': image} for image in images],
        'annotations': entries,
        'categories': [{'id': 1, 'name': 'object'}],
    }
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        index.createIndex()
    return index


def _recall(truth: COCO, found: COCO, limits: Sequence[int]) -> np.ndarray:
    """Recall at each IoU threshold and limit, shape (10, M); -1 without an object."""
    judge = COCOeval(truth, found, 'bbox')
    judge.params.maxDets = list(limits)
    judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ['all']
    with contextlib.redirect_stdout(io.StringIO()):
        judge.evaluate()
        judge.accumulate()
    return judge.eval['recall'][:, 0, 0]
