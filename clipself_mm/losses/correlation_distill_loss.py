"""Correlation distillation: cosines between tokens follow those of the frozen CLIP.

R-SC / SCD (arXiv 2504.02328) in the form given by later work; there is no official implementation.
"""

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from .dense_batch import DenseBatch


def scaled_correlation(tokens: Tensor) -> Tensor:
    """Cosines between all tokens, each row min-max scaled to 0-1.

    Args:
        tokens: Tokens of one image, shape (L, D). The columns are detached: the gradient of a row
            reaches only the token of the row.

    Returns:
        Shape (L, L); a row of equal cosines is 0.
    """
    unit = F.normalize(tokens.float(), dim=-1)
    rows = unit @ unit.detach().T
    low = rows.amin(dim=1, keepdim=True)
    high = rows.amax(dim=1, keepdim=True)
    return (rows - low) / (high - low).clamp_min(1e-6)


def correlation_cross_entropy(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Mean over rows of the cross entropy of softmax(correlation / temperature).

    Args:
        student: Tokens of one image, shape (L, D).
        teacher: Tokens of the frozen CLIP at the same positions, shape (L, D).
        temperature: Divisor of the scaled correlations of both.

    Returns:
        Scalar; its minimum, for equal tokens, is the mean entropy of the teacher's rows.
    """
    target = (scaled_correlation(teacher) / temperature).softmax(dim=1)
    log_probs = (scaled_correlation(student) / temperature).log_softmax(dim=1)
    return -(target * log_probs).sum(dim=1).mean()


@MODELS.register_module()
class CorrelationDistillLoss(nn.Module):
    """Distils the correlations within the frozen CLIP's dense map into the student's.

    Cells that are only padding are excluded, as rows and as columns. All images have equal weight.
    An image of L cells needs several float32 matrices of L x L: 64 MiB each at 1024 px and patch
    16.

    Args:
        temperature: See ``correlation_cross_entropy``.
        loss_weight: Factor on the loss.
    """

    name = 'loss_correlation'

    def __init__(self, temperature: float = 0.2, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature
        self.loss_weight = loss_weight

    def forward(self, batch: DenseBatch) -> Tensor:
        """Mean over the images of a batch, a scalar."""
        with torch.no_grad():
            reference = batch.teacher.encode_dense(batch.images)
        pairs = zip(batch.tokens(batch.dense), batch.tokens(reference), strict=True)
        with torch.autocast(batch.images.device.type, enabled=False):
            losses = [
                correlation_cross_entropy(student, teacher, self.temperature)
                for student, teacher in pairs
            ]
        return self.loss_weight * torch.stack(losses).mean()
