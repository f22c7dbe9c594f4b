"""What losses on whole dense maps are given, and which of its cells are padding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from mmengine.structures import BaseDataElement
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


def image_cells(
    samples: Sequence[BaseDataElement],
    grid: tuple[int, int],
    patch_size: int,
) -> Tensor:
    """True for every cell that at least one pixel of its image lies in.

    Images are padded to the right and below. The size of one is its sample's ``ori_shape`` times
    ``scale``, which, unlike ``img_shape``, follows what the preprocessor resizes. A sample without
    them has no padding.

    Args:
        samples: Of N images.
        grid: (h, w) of the batch's token grid.
        patch_size: Side of a cell in pixels.

    Returns:
        Bool, shape (N, h, w), on the host.
    """
    inside = torch.ones(len(samples), *grid, dtype=torch.bool)
    for cells, sample in zip(inside, samples, strict=True):
        if 'ori_shape' in sample and 'scale' in sample:
            rows, columns = (
                math.ceil(max(round(side * sample.scale), 1) / patch_size)
                for side in sample.ori_shape
            )
            cells[rows:] = False
            cells[:, columns:] = False
    return inside
