"""Correlation distillation: tokens should resemble each other as they do in the frozen CLIP.

Form of R-SC / SCD (arXiv 2504.02328) as later work restates it; the authors' code is unreleased.
"""

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from .dense_batch import DenseBatch


def scaled_correlation(tokens: Tensor) -> Tensor:
    """Cosine of each token with all, every row scaled from its least and largest to 0 and 1.

    Args:
        tokens: Tokens of one image, shape (L, D). As what a row is compared with they are
            detached: a row's gradient reaches its own token alone.

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
        teacher: The frozen CLIP's tokens of the same places, shape (L, D).
        temperature: Divides the scaled correlations of both.

    Returns:
        Scalar; at least the mean entropy of the teacher's rows, which it is for equal tokens.
    """
    wanted = (scaled_correlation(teacher) / temperature).softmax(dim=1)
    found = (scaled_correlation(student) / temperature).log_softmax(dim=1)
    return -(wanted * found).sum(dim=1).mean()


@MODELS.register_module()
class CorrelationDistillLoss(nn.Module):
    """Keeps the correlations within an image those of the frozen CLIP, whose dense map it asks for.

    Cells of padding alone are left out, as rows and as columns. Every image counts the same. An
    image of L cells takes several L x L matrices of float32: 64 MiB each at 1024 px and patch 16.

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
            each = [
                correlation_cross_entropy(student, teacher, self.temperature)
                for student, teacher in pairs
            ]
        return self.loss_weight * torch.stack(each).mean()
