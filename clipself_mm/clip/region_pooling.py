"""Pooling of regions out of a dense feature map: RoIAlign for boxes, weighted means for masks.

Pure functions of tensors; no model is known here.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import roi_align


def roi_pool(dense: Tensor, boxes_px: Sequence[Tensor], patch_size: int) -> Tensor:
    """One feature a box: RoIAlign 1 x 1 of the dense map (paper, section 3.2).

    The sampling grid adapts to the box (sampling ratio -1) and coordinates are pixel-centred
    (``aligned``), both in token units.

    Args:
        dense: Dense maps, shape (N, D, h, w).
        boxes_px: For each image its boxes, xyxy in pixels of the tower's input, shape (R_i, 4).
        patch_size: Pixels a token.

    Returns:
        Shape (sum of R_i, D), images in order; (0, D) still carries a gradient path.

    Raises:
        ValueError: The number of box lists is not N.
    """
    if len(boxes_px) != dense.shape[0]:
        raise ValueError(f'got boxes of {len(boxes_px)} images for {dense.shape[0]} dense maps')
    boxes = [item.to(device=dense.device, dtype=torch.float32) for item in boxes_px]
    pooled = roi_align(
        dense.float(),
        boxes,
        output_size=1,
        spatial_scale=1 / patch_size,
        sampling_ratio=-1,
        aligned=True,
    )
    return pooled.flatten(1)


def mask_pool(dense: Tensor, masks: Sequence[Tensor], eps: float = 1e-12) -> Tensor:
    """One feature a mask: the mask-weighted mean of the dense map at token resolution.

    Args:
        dense: Dense maps, shape (N, D, h, w).
        masks: For each image its masks on the token grid, shape (R_i, h, w), bool or weights.
        eps: Added to the mask's area; an empty mask pools to zero.

    Returns:
        Shape (sum of R_i, D), images in order.

    Raises:
        ValueError: The number of mask lists is not N, or a mask is not on the token grid.
    """
    if len(masks) != dense.shape[0]:
        raise ValueError(f'got masks of {len(masks)} images for {dense.shape[0]} dense maps')
    pooled = []
    for features, weights in zip(dense, masks, strict=True):
        if weights.shape[1:] != features.shape[1:]:
            raise ValueError(
                f'masks are {tuple(weights.shape[1:])}, '
                f'the dense map is {tuple(features.shape[1:])} tokens'
            )
        flat = weights.to(device=features.device, dtype=features.dtype).flatten(1)
        area = flat.sum(dim=1, keepdim=True) + eps
        pooled.append(flat @ features.flatten(1).T / area)
    return torch.cat(pooled)
