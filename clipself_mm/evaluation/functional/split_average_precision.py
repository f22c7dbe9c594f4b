"""COCO's summary of average precision and recall over a subset of the classes.

COCO matches each class separately, so one evaluation of all classes contains the numbers of every
split. They equal those of `summarize()` in an evaluation of the split's classes only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

THRESHOLDS = 10
"""IoU thresholds of COCO, 0.50 to 0.95 in steps of 0.05."""
_IOU_50, _IOU_75 = 0, 5
_AP_LIMIT = 100
"""Detections per image and class for COCO's `ap`, also with a higher limit."""
_AREAS = {'s': 1, 'm': 2, 'l': 3}


def mean_where_annotated(values: np.ndarray) -> float:
    """Mean of the entries that are not -1, COCO's value for a class without ground truth.

    Args:
        values: Precision or recall, any shape.

    Returns:
        The mean, or -1 if all entries are -1.
    """
    valid = values[values > -1]
    return float(valid.mean()) if valid.size else -1.0


def split_average_precision(
    precision: np.ndarray,
    recall: np.ndarray,
    classes: Sequence[int],
    max_dets: Sequence[int] = (1, 10, 100),
) -> dict[str, float]:
    """COCO's summary numbers over a subset of the classes.

    The last axes are area ranges (all, small, medium, large) and detection limits. As in
    pycocotools and mmdet, `ap` is taken at 100 detections if that is one of the limits, all other
    numbers at the highest limit.

    Args:
        precision: `eval['precision']` of COCOeval at COCO's IoU thresholds and recall points,
            shape (T, R, K, 4, M).
        recall: `eval['recall']`, shape (T, K, 4, M).
        classes: Indices of classes on the axis K.
        max_dets: Limits of detections per image and class, ascending, M of them.

    Returns:
        `ap`, `ap50`, `ap75`, `ap_s`, `ap_m`, `ap_l`, a recall per limit (`ar1`, `ar10`, `ar100`),
        `ar_s`, `ar_m`, `ar_l`: fractions, -1 if none of the classes is annotated.
    """
    if len(precision) != THRESHOLDS or precision.shape[-1] != len(max_dets):
        raise ValueError(
            f'precision has shape {precision.shape}, expected {THRESHOLDS} IoU thresholds on the '
            f'first axis and {len(max_dets)} detection limits on the last'
        )
    chosen = np.asarray(classes, dtype=np.int64)
    precision, recall = precision[:, :, chosen], recall[:, chosen]
    best = precision[..., -1]
    ap_limit = list(max_dets).index(_AP_LIMIT) if _AP_LIMIT in max_dets else -1
    areas = _AREAS.items()
    return {
        'ap': mean_where_annotated(precision[..., 0, ap_limit]),
        'ap50': mean_where_annotated(best[_IOU_50, ..., 0]),
        'ap75': mean_where_annotated(best[_IOU_75, ..., 0]),
        **{f'ap_{name}': mean_where_annotated(best[..., area]) for name, area in areas},
        **{
            f'ar{limit}': mean_where_annotated(recall[..., 0, index])
            for index, limit in enumerate(max_dets)
        },
        **{f'ar_{name}': mean_where_annotated(recall[..., area, -1]) for name, area in areas},
    }
