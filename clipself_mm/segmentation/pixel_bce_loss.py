"""Binary cross entropy of every class at every pixel, as CAT-Seg trains with it."""

from __future__ import annotations

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
        known = label != ignore_index
        target = F.one_hot(label * known, cls_score.shape[1]) * known[..., None]
        target = target.permute(0, 3, 1, 2).to(cls_score.dtype)
        weight = None if weight is None else weight[:, None]
        loss = F.binary_cross_entropy_with_logits(cls_score, target, weight)
        return self.loss_weight * loss
