"""Which cells of a token grid show image, where images are padded to the right and below."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from clipself_mm.datasets import RegionSample


def image_cells(
    samples: Sequence[RegionSample],
    grid: tuple[int, int],
    patch_size: int,
) -> Tensor:
    """True for every cell that at least one pixel of its image lies in.

    The size of an image is told by its sample's ``ori_shape`` and ``scale``, which, unlike
    ``img_shape``, follows what the preprocessor resizes. A sample without them has no padding.

    Args:
        samples: Of N images.
        grid: (h, w) of the batch's token grid.
        patch_size: Pixels a cell.

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
