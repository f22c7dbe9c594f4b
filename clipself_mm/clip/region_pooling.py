"""Pooling of regions from a dense map, as pure functions: RoIAlign for boxes, means for masks."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
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


def box_cover(boxes_px: Tensor, grid: tuple[int, int], patch_size: int) -> Tensor:
    """The share of each cell of a token grid that a box covers.

    Args:
        boxes_px: Boxes xyxy in pixels of the tower's input, shape (R, 4).
        grid: (h, w) of the token grid.
        patch_size: Side of a token in pixels.

    Returns:
        Values in [0, 1], shape (R, h, w).
    """
    boxes = boxes_px.float() / patch_size
    sides = []
    for axis, cells in ((1, grid[0]), (0, grid[1])):
        low, high = boxes[:, axis], boxes[:, axis + 2]
        start = torch.arange(cells, device=boxes.device)
        shared = torch.minimum(high[:, None], start + 1) - torch.maximum(low[:, None], start)
        sides.append(shared.clamp_min(0))
    rows, columns = sides
    return rows[:, :, None] * columns[:, None, :]


def similarity_pool(
    dense: Tensor, boxes_px: Sequence[Tensor], targets: Tensor, patch_size: int, temperature: float
) -> Tensor:
    """One feature per box: the mean of its tokens, weighted by their similarity to a target.

    The weights are softmax(cos(token, target) / temperature) over the tokens of a box, each
    multiplied by the share of it that the box covers, scaled to a sum of 1, and detached. A high
    temperature gives the mean of the box; a box without area in the image has the mean of all
    tokens.

    Args:
        dense: Dense maps, shape (N, D, h, w).
        boxes_px: Boxes per image, xyxy in pixels of the tower's input, shape (R_i, 4).
        targets: The targets, for example embeddings of the crops, shape (sum of R_i, D).
        patch_size: Side of a token in pixels.
        temperature: See above, above 0.

    Returns:
        Shape (sum of R_i, D), images in order.
    """
    pooled = []
    counts = [len(boxes) for boxes in boxes_px]
    for features, boxes, wanted in zip(dense, boxes_px, targets.split(counts), strict=True):
        height, width = features.shape[-2:]
        tokens = features.float().flatten(1)
        cover = box_cover(boxes.to(tokens), (height, width), patch_size).flatten(1)
        with torch.autocast(tokens.device.type, enabled=False):
            cosines = F.normalize(wanted.float(), dim=-1) @ F.normalize(tokens.detach(), dim=0)
            # Finite: a box beside the image has no token at all.
            logits = torch.where(cover > 0, cosines / temperature + cover.log(), -1e9)
            pooled.append(logits.softmax(dim=-1).detach() @ tokens.T)
    return torch.cat(pooled)
