"""A batch of the contrastive training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class CaptionedBatch:
    """Images with captions.

    Attributes:
        images: uint8 (N, size, size, 3).
        captions: N sentences.
        labels: What each caption names, indices into ALL_CLASSES.
    """

    images: np.ndarray
    captions: list[str]
    labels: list[list[int]]
