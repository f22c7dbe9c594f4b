"""CLIPSelf's loss: cosine distance between dense features of regions and crop embeddings."""

import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from .region_count import mean_region_count


def cosine_distance(student: Tensor, teacher: Tensor, count: Tensor | int | None = None) -> Tensor:
    """Sum of 1 - cos over regions, divided by their number (paper, section 3.2).

    Args:
        student: Pooled dense features, shape (R, D).
        teacher: Crop embeddings, shape (R, D).
        count: Divisor; R by default.

    Returns:
        Scalar, in [0, 2] for the default ``count``; for R = 0 it is 0 and has a gradient.
    """
    count = max(len(student), 1) if count is None else count
    return (1 - F.cosine_similarity(student.float(), teacher.float(), dim=-1)).sum() / count


@MODELS.register_module()
class CosineDistillLoss(nn.Module):
    """Mean of 1 - cos over all regions of the batch, over all processes.

    The divisor is the mean number of regions per process, so the averaged gradients are those of
    one process with the whole batch, however regions are distributed.

    Args:
        loss_weight: Factor on the loss.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Loss of R regions, both inputs of shape (R, D)."""
        count = mean_region_count(student)
        return self.loss_weight * cosine_distance(student, teacher, count)
