"""Accuracy of region classification: ranking of classes and the mean over classes (Tables 1, 2).

The registered metric and the parity tests share these functions, so the published rule stands
in one place.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def ranked_classes(similarity: Tensor, k: int = 5) -> Tensor:
    """The k best classes of every region, best first; among equals the lower index first.

    Args:
        similarity: Scores of all classes, shape (R, K).
        k: Classes to keep. A vocabulary of fewer than k classes gives all of them.

    Returns:
        Class indices, int64, shape (R, min(k, K)).
    """
    return similarity.argsort(dim=-1, descending=True, stable=True)[:, :k]


def ranked_correctness(similarity: Tensor, labels: Tensor, k: int = 5) -> Tensor:
    """Whether the j-th ranked class of a region is its true one.

    Args:
        similarity: Scores of all classes, shape (R, K).
        labels: True classes, int64, shape (R,).
        k: Ranks to look at.

    Returns:
        Bool, shape (R, min(k, K)), at most one True in a row. The first column is top-1, any
        True in a row is top-k.
    """
    return ranked_classes(similarity, k) == labels[:, None]


def rank_of_truth(topk: Tensor, labels: Tensor) -> Tensor:
    """Position of the true class among the ranked ones.

    Args:
        topk: Class indices, best first, int64, shape (R, k).
        labels: True classes, int64, shape (R,).

    Returns:
        int64, shape (R,), 0 for the best; k where the true class is not among them.
    """
    hits = topk == labels[:, None]
    missed = torch.full_like(labels, topk.shape[1])
    if not hits.numel():
        return missed
    return torch.where(hits.any(dim=1), hits.int().argmax(dim=1), missed)


def mean_over_classes(
    correct: np.ndarray, total: np.ndarray, half_precision: bool = False
) -> float:
    """Mean of the classes' accuracies over the classes that occur.

    Args:
        correct: Rightly classified regions of each class, int64, shape (K,).
        total: Regions of each class, int64, shape (K,).
        half_precision: Round each class's accuracy to half precision first, as the reference
            release does (changes the mean by less than 1e-3).

    Returns:
        Mean accuracy in [0, 1].

    Raises:
        ValueError: There is no region at all.
    """
    present = total > 0
    if not present.any():
        raise ValueError('the mean class accuracy of no regions is undefined')
    accuracy = correct[present] / total[present]
    if half_precision:
        accuracy = accuracy.astype(np.float16).astype(np.float64)
    return float(accuracy.mean())


def mean_class_accuracy(correct: Tensor, labels: Tensor, half_precision: bool = False) -> float:
    """Mean class accuracy of ranked predictions.

    Args:
        correct: Whether the j-th ranked class is right, shape (R, k) as from
            `ranked_correctness`. A region counts when any column is right: hand over one column
            for top-1 and five for top-5.
        labels: True classes, int64, shape (R,).
        half_precision: See `mean_over_classes`.

    Returns:
        Mean accuracy in [0, 1] over the classes that occur in `labels`.

    Raises:
        ValueError: There is no region at all.
    """
    classes = int(labels.max()) + 1 if labels.numel() else 0
    hit = labels[correct.bool().any(dim=1)]
    return mean_over_classes(
        torch.bincount(hit, minlength=classes).numpy(),
        torch.bincount(labels, minlength=classes).numpy(),
        half_precision,
    )
