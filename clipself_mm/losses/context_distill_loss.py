"""DeCLIP's context loss: queries should group patches as a vision foundation model does."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor

from .dense_batch import DenseBatch


def correlation_distance(student: Tensor, reference: Tensor) -> Tensor:
    """Mean over rows of the Euclidean distance of two matrices of cosines.

    Args:
        student: Tokens of one image, shape (L, C).
        reference: Another model's tokens of the same places, shape (L, C'); C' may differ.

    Returns:
        Scalar, at least 0; a row's distance grows with L, as in DeCLIP (arXiv 2505.04410).
    """
    return (_cosines(reference) - _cosines(student)).norm(dim=1).mean()


@MODELS.register_module()
class ContextDistillLoss(BaseModule):
    """Pulls the correlations of the last block's queries to those of a foundation model's patches.

    Cells of padding alone are left out, as rows and as columns. Every image counts the same. An
    image of L cells takes several L x L matrices of float32: 64 MiB each at 1024 px and patch 16.

    Args:
        foundation: Config of the model, a ``FoundationModel``: pixels in 0-1 and a token grid in,
            a map on this grid out.
        loss_weight: Factor on the loss, lambda; 0.25 in the paper, 0.1 in the authors' scripts.
    """

    name = 'loss_context'

    def __init__(self, foundation: dict, loss_weight: float = 0.25) -> None:
        super().__init__()
        self.foundation = MODELS.build(foundation)
        self.loss_weight = loss_weight

    def forward(self, batch: DenseBatch) -> Tensor:
        """Mean over the images of a batch, a scalar.

        Raises:
            ValueError: The student's last block has no context.
        """
        if batch.context is None:
            raise ValueError(
                'ContextDistillLoss compares the queries of a last block by self-correlation: '
                "give model.tower last_block='qq' or 'csa'"
            )
        mean, std = (
            batch.images.new_tensor(values).view(1, 3, 1, 1)
            for values in (batch.teacher.mean, batch.teacher.std)
        )
        with torch.no_grad():
            grid = tuple(batch.context.shape[-2:])
            reference = self.foundation(batch.images * std + mean, grid)
        pairs = zip(batch.tokens(batch.context), batch.tokens(reference), strict=True)
        with torch.autocast(batch.images.device.type, enabled=False):
            each = [correlation_distance(student, wanted) for student, wanted in pairs]
        return self.loss_weight * torch.stack(each).mean()


def _cosines(tokens: Tensor) -> Tensor:
    unit = F.normalize(tokens.float(), dim=-1)
    return unit @ unit.T
