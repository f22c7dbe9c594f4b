"""DeCLIP's context loss: correlations of queries follow those of a vision foundation model."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor

from .dense_batch import DenseBatch


def correlation_distance(student: Tensor, reference: Tensor) -> Tensor:
    """Mean over rows of the Euclidean distance between two cosine matrices.

    Args:
        student: Tokens of one image, shape (L, C).
        reference: Tokens of the reference model at the same positions, shape (L, C').

    Returns:
        Scalar, at least 0. It is not normalised by L, as in DeCLIP (arXiv 2505.04410).
    """
    return (_cosines(reference) - _cosines(student)).norm(dim=1).mean()


@MODELS.register_module()
class ContextDistillLoss(BaseModule):
    """Distils the correlations of a foundation model's patches into the last block's queries.

    Cells that are only padding are excluded, as rows and as columns. All images have equal weight.
    An image of L cells needs several float32 matrices of L x L: 64 MiB each at 1024 px and patch
    16.

    Args:
        foundation: Config of a ``FoundationModel``, which maps pixels in 0-1 and a token grid to a
            feature map on this grid.
        loss_weight: Factor on the loss, lambda; 0.25 in the paper, 0.1 in the official scripts.
    """

    name = 'loss_context'

    def __init__(self, foundation: dict, loss_weight: float = 0.25) -> None:
        super().__init__()
        self.foundation = MODELS.build(foundation)
        self.loss_weight = loss_weight

    def forward(self, batch: DenseBatch) -> Tensor:
        """Mean over the images of a batch, a scalar.

        Raises:
            ValueError: The tower's ``last_block`` gives no queries (``DenseBatch.context``).
        """
        if batch.context is None:
            raise ValueError(
                'ContextDistillLoss needs the queries of a last block with self-correlation: '
                "set model.tower last_block='qq' or 'csa'"
            )
        with torch.no_grad():
            grid = tuple(batch.context.shape[-2:])
            # By channel: a tensor of the constants would be a copy for which the host waits.
            channels = zip(
                batch.images.unbind(1), batch.teacher.mean, batch.teacher.std, strict=True
            )
            pixels = torch.stack([channel * std + mean for channel, mean, std in channels], dim=1)
            reference = self.foundation(pixels, grid)
        pairs = zip(batch.tokens(batch.context), batch.tokens(reference), strict=True)
        with torch.autocast(batch.images.device.type, enabled=False):
            losses = [correlation_distance(student, target) for student, target in pairs]
        return self.loss_weight * torch.stack(losses).mean()


def _cosines(tokens: Tensor) -> Tensor:
    unit = F.normalize(tokens.float(), dim=-1)
    return unit @ unit.T
