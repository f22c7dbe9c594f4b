"""CLIPSelf's loss without the part that all embeddings share, and with weights of regions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from mmengine.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class CentredCosineLoss(nn.Module):
    """Mean of 1 - cos of unit embeddings, from which the teacher's running mean is subtracted.

    CLIP's embeddings lie in a narrow cone, so a plain cosine mostly compares the part that they
    share. A region is weighted by a power of its target's distance from the mean: crops of nothing
    in particular lie near it. The mean is part of checkpoints. It and the mean weight are those of
    all processes, so gradients are those of one process with the whole batch.

    Args:
        momentum: Share of the earlier mean in an update, in [0, 1).
        centred: Whether the mean is subtracted; without it, it serves only the weights.
        confidence: The power, at least 0; 0 gives all regions the same weight. Weights of a batch
            have the mean 1.
        loss_weight: Factor on the loss.
    """

    mean: Tensor
    """float32 of shape (D); zero before the first region."""

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
        if confidence < 0:
            raise ValueError(f'confidence must be at least 0, got {confidence}')
        self.momentum = momentum
        self.centred = centred
        self.confidence = confidence
        self.loss_weight = loss_weight
        self.register_buffer('mean', torch.zeros(0))

    def set_dim(self, dim: int) -> None:
        """Allocate the mean of embeddings of ``dim`` channels."""
        self.mean = self.mean.new_zeros(dim)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Loss of R regions, both inputs of shape (R, D)."""
        student = F.normalize(student.float(), dim=-1)
        teacher = F.normalize(teacher.detach().float(), dim=-1)
        self._update(teacher)
        away = teacher - self.mean
        if self.centred:
            distance = 1 - F.cosine_similarity(student - self.mean, away, dim=-1)
        else:
            distance = 1 - F.cosine_similarity(student, teacher, dim=-1)
        weights = away.norm(dim=-1) ** self.confidence
        # After DDP averages gradients, the divisor is the sum over all processes.
        total = weights.sum()
        all_reduce(total, op='mean')
        return self.loss_weight * (distance * weights).sum() / total.clamp_min(1e-6)

    def _update(self, teacher: Tensor) -> None:
        """Move the mean towards that of a batch, over all processes."""
        sums = torch.cat([teacher.sum(dim=0), teacher.new_full((1,), len(teacher))])
        all_reduce(sums)
        total, count = sums[:-1], sums[-1]
        mean = self.mean.to(teacher)
        # The first regions set the mean; a batch without regions leaves it.
        share = torch.where(mean.any(), 1 - self.momentum, 1.0) * (count > 0)
        self.mean = mean.lerp(total / count.clamp_min(1), share)
