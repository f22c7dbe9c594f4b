"""The cost volume of CAT-Seg: how alike every token and every prompt of every class are."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def cost_volume(dense: Tensor, text: Tensor) -> Tensor:
    """Cosine of tokens and prompts (arXiv 2303.11797, section 3.2), in single precision.

    Args:
        dense: Dense map of any length, shape (N, D, h, w).
        text: Embeddings of prompts of any length, shape (K, P, D), or (N, K, P, D) where the
            images have classes of their own.

    Returns:
        In [-1, 1], shape (N, P, K, h, w).
    """
    with torch.autocast(dense.device.type, enabled=False):
        dense = F.normalize(dense.float(), dim=1)
        text = F.normalize(text.float(), dim=-1)
        if text.ndim == 3:
            return torch.einsum('ndhw,kpd->npkhw', dense, text)
        return torch.einsum('ndhw,nkpd->npkhw', dense, text)


def select_classes(dense: Tensor, text: Tensor, count: int) -> Tensor:
    """The classes that fit some token of an image best; the others need not be aggregated.

    Args:
        dense: Shape (N, D, h, w).
        text: Shape (K, P, D), K > `count`.
        count: How many to keep of each image.

    Returns:
        Indices in ascending order, shape (N, count). A class is ranked by the largest, over
        tokens, of its mean cosine over prompts.
    """
    with torch.no_grad():
        # The mean of cosines is the product with the mean of the unit vectors.
        mean = F.normalize(text.float(), dim=-1).mean(dim=1)
        dense = F.normalize(dense.float(), dim=1)
        best = torch.einsum('ndhw,kd->nkhw', dense, mean).flatten(2).amax(dim=-1)
        return best.topk(count, dim=1).indices.sort(dim=1).values


class CATSegCost(nn.Module):
    """A class's slice of the cost volume as features of a width, by one convolution.

    Args:
        prompts: Prompts a class, P.
        channels: Width of the features, C.
        kernel_size: Side of the convolution in tokens, odd.
    """

    def __init__(self, prompts: int, channels: int = 128, kernel_size: int = 7) -> None:
        super().__init__()
        self.embed = nn.Conv2d(prompts, channels, kernel_size, padding=kernel_size // 2)

    def forward(self, cost: Tensor) -> Tensor:
        """Embed a cost volume.

        Args:
            cost: Shape (N, P, K, h, w).

        Returns:
            Channels last, shape (N, K, h, w, C).
        """
        classes = cost.shape[2]
        features = self.embed(cost.transpose(1, 2).flatten(0, 1))
        return features.unflatten(0, (-1, classes)).permute(0, 1, 3, 4, 2).contiguous()
