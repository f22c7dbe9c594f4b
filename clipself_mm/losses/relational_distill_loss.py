"""Relational distillation: a region's similarities to a queue of crops follow the teacher's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, get_world_size
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
        others: Unit embeddings that both are compared with, shape (Q, D); rows of zeros are left
            out.
        temperature: Divisor of the cosines.

    Returns:
        Shape (R).
    """
    empty = ~others.any(dim=1)
    with torch.autocast(student.device.type, enabled=False):
        target, found = (
            (F.normalize(item.float(), dim=-1) @ others.T / temperature)
            .masked_fill(empty, -1e9)  # finite: 0 * inf is NaN
            .log_softmax(dim=-1)
            for item in (teacher, student)
        )
        return (target.exp() * (target - found)).sum(dim=-1)


@MODELS.register_module()
class RelationalDistillLoss(nn.Module):
    """Mean KL divergence of similarities to a queue of the teacher's last crop embeddings.

    CLIP's embeddings share a large common part, which decides most of a cosine distance; what tells
    two crops apart is in the similarities. A queue of teacher embeddings is that of SEED (ICLR
    2021, arXiv 2101.04731). It is part of checkpoints and the same in all processes, each of which
    adds at most its share of ``queue_size`` crops in a step. Gradients are then those of one
    process with the whole batch.

    Args:
        queue_size: Embeddings of earlier crops that are kept.
        temperature: See ``relational_divergence``.
        loss_weight: Factor on the loss.
    """

    name = 'loss_relational'
    queue: Tensor
    """Unit embeddings, newest first, then zeros; float32 of shape (queue_size, D)."""

    def __init__(
        self, queue_size: int = 1024, temperature: float = 0.05, loss_weight: float = 1.0
    ) -> None:
        super().__init__()
        if queue_size < 1 or temperature <= 0:
            raise ValueError(
                'queue_size must be at least 1 and temperature above 0, got '
                f'{queue_size} and {temperature}'
            )
        self.temperature = temperature
        self.loss_weight = loss_weight
        self.register_buffer('queue', torch.zeros(queue_size, 0))

    def set_dim(self, dim: int) -> None:
        """Allocate the queue for embeddings of ``dim`` channels."""
        self.queue = self.queue.new_zeros(len(self.queue), dim)

    def forward(self, batch: DenseBatch) -> Tensor:
        """Mean over the regions of a batch, a scalar; its crops are in the queue already."""
        self._add(F.normalize(batch.targets.detach().float(), dim=-1))
        divergence = relational_divergence(
            batch.pooled, batch.targets, self.queue, self.temperature
        )
        count = mean_region_count(batch.pooled)
        return (
            self.loss_weight
            * divergence.sum()
            / (max(len(divergence), 1) if count is None else count)
        )

    def _add(self, new: Tensor) -> None:
        """Add unit embeddings (R, D) of all processes to the queue, of any number R in each.

        All shapes are fixed, so that no process waits for the numbers of the others.
        """
        size = len(self.queue)
        share = -(-size // get_world_size())
        padded = F.pad(new[:share], (0, 0, 0, share - len(new[:share])))
        rows = torch.cat([*all_gather(padded), self.queue.to(new)])
        empty = ~rows.any(dim=1)
        self.queue = rows[empty.byte().argsort(stable=True)[:size]]
