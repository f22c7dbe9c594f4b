"""Accuracy of region classification: rank of the true class, mean over classes (Tables 1, 2)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def rank_of_truth(topk: Tensor, labels: Tensor) -> Tensor:
    """Position of the true class among the ranked classes.

    Args:
        topk: Class indices, best first, int64, shape (R, k).
        labels: True classes, int64, shape (R,).

    Returns:
        int64, shape (R,), 0 for the best; k if the true class is not ranked.
    """
    hits = topk == labels[:, None]
    missed = torch.full_like(labels, topk.shape[1])
    if not hits.numel():
        return missed
    return torch.where(hits.any(dim=1), hits.int().argmax(dim=1), missed)


def mean_over_classes(
    correct: np.ndarray, total: np.ndarray, half_precision: bool = False
) -> float:
    """Mean accuracy over the classes that occur.

    Args:
        correct: Correctly classified regions per class, int64, shape (K,).
        total: Regions per class, int64, shape (K,).
        half_precision: Round the accuracy of each class to half precision, as the official
            implementation does (changes the mean by less than 1e-3).

    Returns:
        Mean accuracy in [0, 1].
    """
    present = total > 0
    if not present.any():
        raise ValueError('the mean class accuracy is undefined: there are no regions')
    accuracy = correct[present] / total[present]
    if half_precision:
        accuracy = accuracy.astype(np.float16).astype(np.float64)
    return float(accuracy.mean())
