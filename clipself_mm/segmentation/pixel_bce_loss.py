"""Per-class binary cross entropy per pixel, the loss of CAT-Seg."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class PixelBCELoss(nn.Module):
    """Binary cross entropy per class and pixel; an ignored pixel is a negative of all classes.

    As in CAT-Seg's official implementation. mmseg's `CrossEntropyLoss(use_sigmoid=True)` excludes
    ignored pixels instead.

    Args:
        loss_weight: Factor of the loss.
        loss_name: Key of the loss in the log.
    """

    def __init__(self, loss_weight: float = 1.0, loss_name: str = 'loss_bce') -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        ignore_index: int = 255,
    ) -> Tensor:
        """Mean over N * K * H * W terms.

        Args:
            cls_score: Logits, shape (N, K, H, W).
            label: Label of every pixel, shape (N, H, W).
            weight: Weight of every pixel, shape (N, H, W).
            ignore_index: Label of ignored pixels.
        """
        scores = cls_score.float()
        known = (label != ignore_index)[:, None]
        target = torch.zeros_like(scores).scatter_(1, label[:, None] * known, known.float())
        weight = None if weight is None else weight[:, None]
        return self.loss_weight * F.binary_cross_entropy_with_logits(scores, target, weight)
