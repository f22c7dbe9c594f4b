"""Input of additional losses: dense maps, which of their cells are not padding, regions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import Tensor

from clipself_mm.clip import VisionTower, ViTTower


class DenseBatch(NamedTuple):
    """A batch of images with the student's dense maps and regions, and both towers."""

    images: Tensor
    """The student's input, normalised and padded, shape (N, 3, H, W)."""
    dense: Tensor
    """The student's dense map, shape (N, D, h, w)."""
    context: Tensor | None
    """Queries of the last block, shape (N, C, h, w); None without self-correlation."""
    inside: Tensor
    """False for cells that are only padding, shape (N, h, w), on the CPU."""
    teacher: VisionTower
    """The frozen tower."""
    student: ViTTower
    """The tower that trains."""
    boxes_px: list[Tensor]
    """Regions of each image, xyxy in pixels of ``images``, shape (R_i, 4)."""
    pooled: Tensor
    """The student's features of all R regions, images in order, shape (R, D)."""
    targets: Tensor
    """The teacher's embeddings of their crops, shape (R, D)."""
    crops: Tensor
    """The crops, normalised, shape (R, 3, S, S); with a teacher cache only the new ones."""

    def tokens(self, features: Tensor) -> list[Tensor]:
        """The inside cells of a map (N, C, h, w): per image a tensor (L_i, C), row by row."""
        tokens = []
        for item, inside in zip(features.flatten(2), self.inside, strict=True):
            # Indices from the host: indexing with a mask would synchronise with the device.
            index = torch.from_numpy(np.flatnonzero(inside.numpy()))
            tokens.append(item[:, index.to(item.device, non_blocking=True)].T)
        return tokens


def image_cells(
    samples: Sequence[BaseDataElement],
    grid: Sequence[int],
    patch_size: int,
) -> Tensor:
    """Mask of the cells that contain at least one pixel of the image.

    Images are padded to the right and below. The size of an image is ``ori_shape`` times ``scale``
    of its sample; ``img_shape`` does not change when the preprocessor resizes. A sample without
    them has no padding.

    Args:
        samples: Samples of N images.
        grid: (h, w) of the batch's token grid.
        patch_size: Side of a cell in pixels.

    Returns:
        bool, shape (N, h, w), on the CPU.
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
