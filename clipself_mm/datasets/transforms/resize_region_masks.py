"""Masks of segments on the student's token grid."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.registry import TRANSFORMS
from torch import Tensor

from ..structures import ImageReadError


def resize_mask(mask: np.ndarray, grid: int, antialias: bool = False) -> Tensor:
    """Resize a mask to the token grid of the padded square input.

    Bicubic. The longest side becomes `grid`, the other is rounded half to even and at least 1.
    Zeros are padded at the right and bottom.

    Args:
        mask: Booleans of shape (H, W).
        grid: Tokens per side.
        antialias: False is what torchvision before 0.17 did for tensors; the paper's numbers were
            measured with it. With True a thin segment includes tokens that are mostly outside of
            it.

    Returns:
        float32 of shape (grid, grid); tokens of the segment are > 0.
    """
    scale = grid / max(mask.shape)
    size = [max(round(side * scale), 1) for side in mask.shape]
    pixels = torch.from_numpy(mask).float()[None, None]
    resized = F.interpolate(
        pixels, size=size, mode='bicubic', align_corners=False, antialias=antialias
    )
    return F.pad(resized[0, 0], [0, grid - size[1], 0, grid - size[0]])


@TRANSFORMS.register_module()
class ResizeRegionMasks:
    """Add `masks`, bool of shape (R, h, w): the segment of each region on the token grid.

    h = w = input size / patch size: the masks are for images padded to a square (`image_size` of
    `RegionPreprocessor`). Needs `segment_map` and `segment_ids`; comes after `ResizeLongest`.

    Args:
        patch_size: Side of a token in input pixels.
        antialias: See `resize_mask`. True is what the official implementation does with torchvision
            0.17 and later: the original EVA-02 CLIP ViT-B/16 then has thing / stuff mask accuracies
            of 17.4 / 16.3 instead of the paper's 20.6 / 18.4 (wusize/CLIPSelf, issues 28 and 40).

    Raises:
        ImageReadError: A segment has no pixel in the id image.
    """

    def __init__(self, patch_size: int, antialias: bool = False) -> None:
        self.patch_size = patch_size
        self.antialias = antialias

    def __call__(self, results: dict) -> dict:
        """Resize the masks of one sample."""
        grid = results['input_size'] // self.patch_size
        masks = torch.zeros(len(results['segment_ids']), grid, grid, dtype=torch.bool)
        for token_mask, segment_id in zip(masks, results['segment_ids'], strict=True):
            mask = results['segment_map'] == segment_id
            if not mask.any():
                raise ImageReadError(
                    results['seg_map_path'], f'segment {segment_id} of the json has no pixel'
                )
            token_mask[:] = resize_mask(mask, grid, self.antialias) > 0
        results['masks'] = masks
        return results
