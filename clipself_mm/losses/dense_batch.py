"""What losses on whole dense maps are given."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from clipself_mm.clip import VisionTower


class DenseBatch(NamedTuple):
    """A student's view of a batch of images, and who may be asked about the same images."""

    images: Tensor
    """Normalised and padded, the student's input, shape (N, 3, H, W)."""
    dense: Tensor
    """The student's dense map, shape (N, D, h, w)."""
    context: Tensor | None
    """The queries that mixed it, shape (N, C, h, w); None where the last block has no such."""
    inside: Tensor
    """True for cells that show image and not padding alone, shape (N, h, w), on the host."""
    teacher: VisionTower
    """The frozen tower."""

    def tokens(self, features: Tensor) -> list[Tensor]:
        """The inside cells of a map (N, C, h, w), one tensor (L_i, C) an image, row by row."""
        tokens = []
        for item, inside in zip(features.flatten(2), self.inside, strict=True):
            # Counted on the host: a mask as an index would make it wait for the device.
            places = torch.from_numpy(np.flatnonzero(inside.numpy()))
            tokens.append(item[:, places.to(item.device, non_blocking=True)].T)
        return tokens
