"""The detector's and CLIP's scores of a box, side by side and fused (F-VLM)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PairedLogits:
    """The logits of the detector and of CLIP for the same boxes.

    They stand in mmdet's `cls_score` from the RoI head to the box head's `predict_by_feat`.

    Attributes:
        detector: Shape (R, K + 1), the background last.
        clip: Shape (R, K + 1).
    """

    detector: Tensor
    clip: Tensor

    def split(self, sizes: Sequence[int], dim: int = 0) -> tuple[PairedLogits, ...]:
        """The boxes of each image, as mmdet's RoI head splits its tensors."""
        parts = zip(self.detector.split(sizes, dim), self.clip.split(sizes, dim), strict=True)
        return tuple(PairedLogits(*part) for part in parts)


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
