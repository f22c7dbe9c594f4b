"""The cost volume of CAT-Seg: cosine of every token with every prompt of every class."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def cost_volume(dense: Tensor, text: Tensor) -> Tensor:
    """Cosine of tokens and prompts (arXiv 2303.11797, section 3.2), float32.

    Args:
        dense: Dense map, not necessarily normalised, shape (N, D, h, w).
        text: Prompt embeddings, not necessarily normalised, shape (K, P, D), or (N, K, P, D) with
            separate classes per image.

    Returns:
        Cosines, shape (N, P, K, h, w).
    """
    with torch.autocast(dense.device.type, enabled=False):
        dense = F.normalize(dense.float(), dim=1)
        text = F.normalize(text.float(), dim=-1)
        if text.ndim == 3:
            return torch.einsum('ndhw,kpd->npkhw', dense, text)
        return torch.einsum('ndhw,nkpd->npkhw', dense, text)


def select_classes(dense: Tensor, text: Tensor, count: int) -> Tensor:
    """Choose the best classes per image, ranked by the maximum over tokens of the mean cosine.

    Args:
        dense: Dense map, shape (N, D, h, w).
        text: Prompt embeddings, shape (K, P, D), K > `count`.
        count: Number of classes to keep per image.

    Returns:
        Class indices in ascending order, shape (N, count).
    """
    with torch.no_grad():
        # The mean of the cosines over prompts is the product with the mean unit vector.
        mean = F.normalize(text.float(), dim=-1).mean(dim=1)
        dense = F.normalize(dense.float(), dim=1)
        best = torch.einsum('ndhw,kd->nkhw', dense, mean).flatten(2).amax(dim=-1)
        return best.topk(count, dim=1).indices.sort(dim=1).values


class CATSegCost(nn.Module):
    """Embeds the cost map of each class with one convolution.

    Args:
        prompts: Prompts per class, P.
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
