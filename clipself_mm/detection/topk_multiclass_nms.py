"""Multi-class NMS on the top-scoring candidates only; exact."""

from __future__ import annotations

import torch
from mmcv.ops import batched_nms
from torch import Tensor

FIRST = 4
"""Candidates of the first round, as a multiple of `max_num`."""


def topk_multiclass_nms(
    boxes: Tensor, scores: Tensor, score_thr: float, nms_cfg: dict, max_num: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The best boxes after NMS per class; same result as mmdet's `multiclass_nms`.

    A box can only be suppressed by a box of higher score. If NMS of the top candidates keeps
    `max_num` boxes, these are the best of all R x K candidates, and the others need no NMS.

    Args:
        boxes: One box per region, shape (R, 4), or per region and class, shape (R, 4 K).
        scores: Without background, shape (R, K).
        score_thr: Candidates at or below this score are ignored.
        nms_cfg: As in mmcv's `batched_nms`. Types other than 'nms' may change scores; they use all
            candidates.
        max_num: Maximum number of boxes; -1 or 0 for all.

    Returns:
        Boxes, scores and labels, best first, of shapes (M, 4), (M) and (M).
    """
    classes = scores.shape[1]
    boxes = boxes.unflatten(1, (-1, 4))
    flat = scores.flatten()
    flat = flat.masked_fill(flat.isnan(), -torch.inf)  # topk sorts NaN first
    partial = max_num > 0 and nms_cfg.get('type', 'nms') == 'nms'
    count = min(FIRST * max_num, len(flat)) if partial else len(flat)
    while True:
        best, index = flat.topk(count)
        passing = int((best > score_thr).sum())  # they are sorted
        best, index = best[:passing], index[:passing]
        region, label = index // classes, index % classes
        candidates = boxes[region, label if boxes.shape[1] > 1 else 0]
        if not len(best):
            return candidates, best, label
        kept, order = batched_nms(candidates, best, label, nms_cfg)
        if max_num > 0:
            kept, order = kept[:max_num], order[:max_num]
        if len(order) == max_num or len(best) < count or count == len(flat):
            return kept[:, :4], kept[:, 4], label[order]
        count = min(4 * count, len(flat))
