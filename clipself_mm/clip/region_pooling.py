"""Pooling of regions from a dense map, as pure functions: RoIAlign for boxes, means for masks."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import roi_align


def roi_pool(dense: Tensor, boxes_px: Sequence[Tensor], patch_size: int) -> Tensor:
    """One feature per box: RoIAlign 1 x 1 of the dense map (paper, section 3.2).

    The sampling grid adapts to the size of the box in tokens (``sampling_ratio=-1``), and
    coordinates are pixel-centred (``aligned=True``).

    Args:
        dense: Dense maps, shape (N, D, h, w).
        boxes_px: Boxes per image, xyxy in pixels of the tower's input, shape (R_i, 4).
        patch_size: Side of a token in pixels.

    Returns:
        Shape (sum of R_i, D), images in order; without boxes (0, D), connected to the graph.
    """
    if len(boxes_px) != dense.shape[0]:
        raise ValueError(f'found boxes of {len(boxes_px)} images for {dense.shape[0]} dense maps')
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
    """One feature per mask: the mask-weighted mean of the dense map at token resolution.

    Args:
        dense: Dense maps, shape (N, D, h, w).
        masks: Masks per image on the token grid, shape (R_i, h, w), bool or weights.
        eps: Added to the mask's area; an empty mask pools to zero.

    Returns:
        Shape (sum of R_i, D), images in order.
    """
    if len(masks) != dense.shape[0]:
        raise ValueError(f'found masks of {len(masks)} images for {dense.shape[0]} dense maps')
    pooled = []
    for features, weights in zip(dense, masks, strict=True):
        if weights.shape[1:] != features.shape[1:]:
            raise ValueError(
                f'masks are {tuple(weights.shape[1:])}, expected the {tuple(features.shape[1:])} '
                'tokens of the dense map'
            )
        flat = weights.to(device=features.device, dtype=torch.float32).flatten(1)
        area = flat.sum(dim=1, keepdim=True) + eps
        pooled.append(flat @ features.float().flatten(1).T / area)
    return torch.cat(pooled)
