"""Federated binary cross entropy between region features and sampled noun embeddings."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dist import get_rank
from mmengine.logging import MessageHub
from mmengine.registry import MODELS
from torch import Tensor, nn

from .region_count import mean_region_count


def sample_categories(
    labels: Tensor, num_categories: int, num_sampled: int, generator: np.random.Generator
) -> Tensor:
    """Sample the categories of a step: all that occur, then random others.

    Args:
        labels: Labels of the regions, int64 of shape (R).
        num_categories: Number of categories, K.
        num_sampled: Number of categories to sample; exceeded if more occur.
        generator: Samples the others, without replacement.

    Returns:
        int64 of shape (S) on the labels' device: the labels that occur, ascending, then the others;
        S is min(K, `num_sampled`) unless more occur.

    Raises:
        ValueError: A label is not one of the K categories.
    """
    present = np.unique(labels.cpu().numpy())
    if len(present) and not 0 <= present[0] <= present[-1] < num_categories:
        raise ValueError(
            f'the batch has labels {present[0]} to {present[-1]}, expected labels of '
            f'{num_categories} nouns: model.nouns and the data set must have the same vocabulary'
        )
    others = np.setdiff1d(np.arange(num_categories), present)
    missing = min(max(num_sampled - len(present), 0), len(others))
    negatives = generator.choice(others, missing, replace=False)
    return torch.from_numpy(np.concatenate([present, negatives])).to(labels.device, torch.int64)


def region_text_loss(
    features: Tensor,
    labels: Tensor,
    nouns: Tensor,
    scale: Tensor | float,
    sampled: Tensor,
    count: Tensor | int | None = None,
) -> Tensor:
    """Binary cross entropy of regions with sampled nouns (paper, section A.4).

    The logits are ``scale`` times the cosines. The loss is summed over nouns and regions and
    divided by the number of regions, as in the official implementation.

    Args:
        features: Pooled dense features, not normalised, shape (R, D).
        labels: Noun of each region, int64 of shape (R); each is one of `sampled`.
        nouns: Embeddings of all nouns, shape (K, D).
        scale: Logit scale of the CLIP.
        sampled: Indices of the sampled nouns, shape (S).
        count: Divisor; R by default.

    Returns:
        Scalar; for R = 0 it is 0 and has a gradient.
    """
    count = max(len(features), 1) if count is None else count
    # In half precision, 100 x cos is off by 0.4.
    with torch.autocast(features.device.type, enabled=False):
        regions = F.normalize(features.float(), dim=-1)
        logits = scale * regions @ F.normalize(nouns[sampled].float(), dim=-1).T
        target = (labels[:, None] == sampled).float()
        return F.binary_cross_entropy_with_logits(logits, target, reduction='sum') / count


@MODELS.register_module()
class RegionTextLoss(nn.Module):
    """`region_text_loss` with categories sampled per iteration.

    The mean is over all regions of all processes, as in `CosineDistillLoss`. Each process samples
    for its own regions, from (seed, iteration, rank), so resumed training samples the same.

    Args:
        num_sampled: Categories per step.
        loss_weight: Factor on the loss.
    """

    def __init__(self, num_sampled: int = 100, loss_weight: float = 1.0) -> None:
        super().__init__()
        if num_sampled < 1:
            raise ValueError(f'num_sampled must be at least 1, got {num_sampled}')
        self.num_sampled = num_sampled
        self.loss_weight = loss_weight

    def forward(
        self,
        features: Tensor,
        labels: Tensor,
        nouns: Tensor,
        scale: Tensor | float,
        sampled: Tensor | None = None,
    ) -> Tensor:
        """Loss of R regions.

        Args:
            features: Pooled dense features, shape (R, D).
            labels: Noun of each region, int64 of shape (R).
            nouns: Embeddings of all nouns, shape (K, D).
            scale: Logit scale of the CLIP.
            sampled: Given categories, which are then not sampled.
        """
        if sampled is None:
            sampled = self.sample(labels, len(nouns))
        count = mean_region_count(features)
        loss = region_text_loss(features, labels, nouns, scale, sampled, count)
        return self.loss_weight * loss

    def sample(self, labels: Tensor, num_categories: int) -> Tensor:
        """The categories of this iteration, see `sample_categories`."""
        hub = MessageHub.get_current_instance()
        seed, iteration = (int(hub.get_info(key, 0) or 0) for key in ('seed', 'iter'))
        generator = np.random.default_rng([seed, iteration, get_rank()])
        return sample_categories(labels, num_categories, self.num_sampled, generator)
