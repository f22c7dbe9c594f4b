"""Which of an image's proposals are worth training on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torchvision.ops import nms


@dataclass(frozen=True)
class ProposalSelection:
    """Which proposals of an image are kept, best first.

    Attributes:
        score_thr: Least score; more than 0 needs a file with scores.
        nms_iou: A box that overlaps a better one of its image by more than this IoU goes, whatever
            its category; None for no suppression.
        max_per_img: Largest number of an image.
        min_size: Side of the smallest square allowed, in source pixels (an equal area is kept), as
            in `ProposalRegions`.

    Raises:
        ValueError: If a number is out of its range.
    """

    score_thr: float = 0.0
    nms_iou: float | None = None
    max_per_img: int = 100
    min_size: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.nms_iou is not None and not 0 <= self.nms_iou <= 1:
            raise ValueError(f'the IoU of suppression is in [0, 1], not {self.nms_iou}')
        if self.max_per_img < 1:
            raise ValueError(f'at least 1 proposal an image is kept, not {self.max_per_img}')
        if not self.min_size >= 0:
            raise ValueError(f'the smallest side is at least 0, not {self.min_size}')

    def select(self, boxes_xywh: np.ndarray, scores: np.ndarray | None) -> np.ndarray:
        """Choose proposals of one image.

        Args:
            boxes_xywh: Boxes x, y, width, height in source pixels, float64 of shape (R, 4).
            scores: Their scores, float64 of shape (R); None counts the first box as the best.

        Returns:
            Indices, int64 of shape (S), best first; boxes without an area are never among them.
        """
        width, height = boxes_xywh[:, 2], boxes_xywh[:, 3]
        keep = (width > 0) & (height > 0) & (width * height >= self.min_size**2)
        order = np.arange(len(boxes_xywh))
        if scores is not None:
            keep &= scores >= self.score_thr
            order = np.argsort(-scores, kind='stable')
        order = order[keep[order]]
        if self.nms_iou is not None:
            corners = boxes_xywh[order].copy()
            corners[:, 2:] += corners[:, :2]
            rank = torch.arange(len(order), 0, -1, dtype=torch.float64)  # without ties
            order = order[nms(torch.from_numpy(corners), rank, self.nms_iou).numpy()]
        return order[: self.max_per_img]
