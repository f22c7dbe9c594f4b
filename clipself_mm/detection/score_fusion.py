"""How the detector's and CLIP's opinions of a region become one score: pure functions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def fusion_weights(
    classes: Sequence[str], novel: Sequence[str], alpha: float, beta: float
) -> Tensor:
    """CLIP's share in the score of each class and of the background.

    Args:
        classes: K names.
        novel: Those of them that had no boxes in training; they trust CLIP by `beta`.
        alpha: Share for all others and for the background.
        beta: Share for novel classes.

    Returns:
        Shape (K + 1), the background last.
    """
    unseen = set(novel)
    return torch.tensor([beta if name in unseen else alpha for name in classes] + [alpha])


def fuse_scores(detector: Tensor, clip: Tensor, weights: Tensor) -> Tensor:
    """Geometric mean of two probability tables, class by class (F-VLM).

    Args:
        detector: Probabilities of the trained classifier, shape (R, K + 1).
        clip: Probabilities by the frozen CLIP, shape (R, K + 1).
        weights: CLIP's exponent of each column, shape (K + 1).

    Returns:
        detector^(1 - w) * clip^w, not renormalised, shape (R, K + 1).
    """
    return detector ** (1 - weights) * clip**weights
