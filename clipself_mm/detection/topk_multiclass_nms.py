"""Non-maximum suppression over many classes that looks at no more candidates than it must."""

from __future__ import annotations

import torch
from mmcv.ops import batched_nms
from torch import Tensor

FIRST = 4
"""Candidates looked at first, as a multiple of the boxes wanted."""


def topk_multiclass_nms(
    boxes: Tensor, scores: Tensor, score_thr: float, nms_cfg: dict, max_num: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The best boxes after suppression among those of the same class: mmdet's `multiclass_nms`.

    A box is suppressed by better ones only. So the `max_num` best of what survives among the best
    candidates are the best of all, once there are so many: most of the R x K candidates, in a
    vocabulary of a thousand names nearly all, need no box of their own and no suppression.

    Args:
        boxes: One box a region or one for each of its classes, shape (R, 4) or (R, 4 K).
        scores: Without background, shape (R, K).
        score_thr: Candidates at or below are none.
        nms_cfg: As mmcv's `batched_nms` takes it. Of another type than 'nms', which may lower
            scores instead of suppressing, all candidates are looked at.
        max_num: Boxes wanted; -1 or 0 for all.

    Returns:
        Boxes, scores and labels, best first, of shapes (M, 4), (M) and (M).
    """
    classes = scores.shape[1]
    boxes = boxes.unflatten(1, (-1, 4))
    flat = scores.flatten()
    flat = flat.masked_fill(flat.isnan(), -torch.inf)  # topk would take them for the best
    partial = max_num > 0 and nms_cfg.get('type', 'nms') == 'nms'
    count = min(FIRST * max_num, len(flat)) if partial else len(flat)
    while True:
        best, index = flat.topk(count)
        passing = best > score_thr
        best, index = best[passing], index[passing]
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
