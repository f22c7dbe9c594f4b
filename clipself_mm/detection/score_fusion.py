"""Score fusion of the detector and CLIP (F-VLM)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PairedLogits:
    """Logits of the detector and of CLIP for the same boxes.

    Takes the place of mmdet's `cls_score` from the RoI head to the bbox head's `predict_by_feat`.

    Attributes:
        detector: Shape (R, K + 1), the background last.
        clip: Shape (R, K + 1).
    """

    detector: Tensor
    clip: Tensor

    def split(self, sizes: Sequence[int], dim: int = 0) -> tuple[PairedLogits, ...]:
        """Split by image, as mmdet's RoI head splits tensors."""
        parts = zip(self.detector.split(sizes, dim), self.clip.split(sizes, dim), strict=True)
        return tuple(PairedLogits(*part) for part in parts)


def fusion_weights(
    classes: Sequence[str], novel: Collection[str], alpha: float, beta: float
) -> Tensor:
    """Weight of CLIP in the score of each class and of the background.

    Args:
        classes: K names.
        novel: Classes without boxes in training.
        alpha: Weight for the other classes and the background.
        beta: Weight for novel classes.

    Returns:
        Shape (K + 1), the background last.
    """
    unseen = set(novel)
    return torch.tensor([beta if name in unseen else alpha for name in classes] + [alpha])


def fuse_scores(detector: Tensor, clip: Tensor, weights: Tensor) -> Tensor:
    """Weighted geometric mean of two probability tables, per class (F-VLM).

    Args:
        detector: Probabilities of the trained classifier, shape (R, K + 1).
        clip: Probabilities of the frozen CLIP, shape (R, K + 1).
        weights: Weight w of CLIP per column, shape (K + 1).

    Returns:
        detector^(1 - w) * clip^w, not renormalised, shape (R, K + 1).
    """
    return detector ** (1 - weights) * clip**weights
