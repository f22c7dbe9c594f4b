"""Relational distillation: a region's similarities to a queue of crops follow the teacher's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from .dense_batch import DenseBatch
from .region_count import mean_region_count


def relational_divergence(
    student: Tensor, teacher: Tensor, others: Tensor, temperature: float
) -> Tensor:
    """KL divergence of the similarities to other embeddings, per region.

    Args:
        student: Pooled dense features, shape (R, D).
        teacher: Crop embeddings, shape (R, D).
        others: Unit embeddings that both are compared with, shape (Q, D).
        temperature: Divisor of the cosines.

    Returns:
        Shape (R).
    """
    target, found = (
        F.normalize(item.float(), dim=-1) @ others.T / temperature for item in (teacher, student)
    )
    log_target = target.log_softmax(dim=-1)
    return (log_target.exp() * (log_target - found.log_softmax(dim=-1))).sum(dim=-1)


@MODELS.register_module()
class RelationalDistillLoss(nn.Module):
    """Mean KL divergence of similarities to a queue of the teacher's last crop embeddings.

    CLIP's embeddings share a large common part, which decides most of a cosine distance; what tells
    two crops apart is in the similarities. A queue of teacher embeddings is that of SEED (ICLR
    2021, arXiv 2101.04731). The queue is part of checkpoints; each process has its own.

    Args:
        queue_size: Embeddings of earlier crops that are kept.
        temperature: See ``relational_divergence``.
        loss_weight: Factor on the loss.
    """

    name = 'loss_relational'
    queue: Tensor
    """Unit embeddings, newest first, float32 of shape (Q, D); Q grows up to ``queue_size``."""

    def __init__(
        self, queue_size: int = 1024, temperature: float = 0.05, loss_weight: float = 1.0
    ) -> None:
        super().__init__()
        if queue_size < 1 or temperature <= 0:
            raise ValueError(
                'queue_size must be at least 1 and temperature above 0, got '
                f'{queue_size} and {temperature}'
            )
        self.queue_size = queue_size
        self.temperature = temperature
        self.loss_weight = loss_weight
        self.register_buffer('queue', torch.zeros(0, 0))

    def forward(self, batch: DenseBatch) -> Tensor:
        """Mean over the regions of a batch, a scalar; its crops are in the queue already."""
        unit = F.normalize(batch.targets.float(), dim=-1)
        queue = torch.cat([unit, self.queue.to(unit)]) if self.queue.numel() else unit
        self.queue = queue[: self.queue_size].detach()
        if not len(unit):
            return batch.pooled.sum() * 0
        divergence = relational_divergence(
            batch.pooled, batch.targets, self.queue, self.temperature
        )
        count = mean_region_count(batch.pooled)
        return self.loss_weight * divergence.sum() / (len(unit) if count is None else count)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: object) -> None:
        """Take the length of the queue from the checkpoint."""
        saved = state_dict.get(f'{prefix}queue')
        if saved is not None:
            self.queue = self.queue.new_zeros(saved.shape)
        super()._load_from_state_dict(state_dict, prefix, *args)
