"""Binary cross entropy of every class at every pixel, as CAT-Seg trains with it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class PixelBCELoss(nn.Module):
    """Each class is a yes or no at each pixel; an ignored pixel is a no for all classes.

    So it is in CAT-Seg's public code. mmseg's `CrossEntropyLoss` with `use_sigmoid` leaves ignored
    pixels out.

    Args:
        loss_weight: Factor.
        loss_name: Its name in the log.
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
        """The mean over all N * K * H * W answers.

        Args:
            cls_score: Logits, shape (N, K, H, W).
            label: Class of every pixel, shape (N, H, W).
            weight: Weight of every pixel, shape (N, H, W).
            ignore_index: Label of what is of no class.
        """
        scores = cls_score.float()
        known = (label != ignore_index)[:, None]
        target = torch.zeros_like(scores).scatter_(1, label[:, None] * known, known.float())
        weight = None if weight is None else weight[:, None]
        return self.loss_weight * F.binary_cross_entropy_with_logits(scores, target, weight)
