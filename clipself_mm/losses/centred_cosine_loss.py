"""CLIPSelf's loss without the part that all embeddings share, and with weights of regions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from mmengine.registry import MODELS
from torch import Tensor, nn

from .region_count import mean_region_count


@MODELS.register_module()
class CentredCosineLoss(nn.Module):
    """Mean of 1 - cos of unit embeddings, from which the teacher's running mean is subtracted.

    CLIP's embeddings lie in a narrow cone, so a plain cosine mostly compares the part that they
    share. A region is weighted by a power of its target's distance from the mean: crops of nothing
    in particular lie near it. The mean is part of checkpoints.

    Args:
        momentum: Share of the earlier mean in an update, in [0, 1).
        centred: Whether the mean is subtracted; without it, it serves only the weights.
        confidence: The power; 0 gives all regions the same weight. Weights of a batch have the
            mean 1.
        loss_weight: Factor on the loss.
    """

    mean: Tensor
    """float32 of shape (D); empty before the first step."""

    def __init__(
        self,
        momentum: float = 0.99,
        centred: bool = True,
        confidence: float = 0.0,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        if not 0 <= momentum < 1:
            raise ValueError(f'momentum must be in [0, 1), got {momentum}')
        self.momentum = momentum
        self.centred = centred
        self.confidence = confidence
        self.loss_weight = loss_weight
        self.register_buffer('mean', torch.zeros(0))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Loss of R regions, both inputs of shape (R, D)."""
        student, teacher = (F.normalize(item.float(), dim=-1) for item in (student, teacher))
        self._update(teacher)
        away = teacher - self.mean
        if self.centred:
            student, target = student - self.mean, away
        else:
            target = teacher
        distance = 1 - F.cosine_similarity(student, target, dim=-1)
        if self.confidence:
            weights = away.norm(dim=-1) ** self.confidence
            distance = distance * weights / weights.mean().clamp_min(1e-6)
        count = mean_region_count(student)
        return (
            self.loss_weight * distance.sum() / (max(len(student), 1) if count is None else count)
        )

    def _update(self, teacher: Tensor) -> None:
        """Move the mean towards that of a batch, over all processes."""
        sums = torch.cat([teacher.sum(dim=0), teacher.new_full((1,), len(teacher))])
        all_reduce(sums)
        mean = sums[:-1] / sums[-1].clamp_min(1)
        if not self.mean.numel():
            self.mean = mean
        else:
            # A batch without regions leaves the mean.
            share = (1 - self.momentum) * (sums[-1] > 0)
            self.mean = self.mean + share * (mean - self.mean)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: object) -> None:
        """Take the width of the mean from the checkpoint."""
        saved = state_dict.get(f'{prefix}mean')
        if saved is not None:
            self.mean = self.mean.new_zeros(saved.shape)
        super()._load_from_state_dict(state_dict, prefix, *args)
