"""Regions seen by copies of the class token that look at nothing else."""

from collections.abc import Sequence

import torch
from mmengine.registry import TASK_UTILS
from torch import Tensor

from clipself_mm.clip import VisionTower
from clipself_mm.datasets import RegionSample

from .region_route import RegionRoute


def box_token_masks(boxes_px: Tensor, grid: tuple[int, int], patch_size: int) -> Tensor:
    """The tokens a box covers: every one whose cell overlaps the box, and at least one.

    Args:
        boxes_px: xyxy in pixels of the tower's input, shape (R, 4).
        grid: (h, w), tokens of the input.
        patch_size: Side of a token's cell in pixels.

    Returns:
        bool of shape (R, h, w). A box without area, or outside, has the token nearest to it.
    """
    cells = boxes_px / patch_size
    inside = []
    for axis, tokens in ((1, grid[0]), (0, grid[1])):
        first = cells[:, axis].floor().clamp(0, tokens - 1)
        end = torch.maximum(cells[:, axis + 2].ceil(), first + 1)
        index = torch.arange(tokens, device=boxes_px.device)
        inside.append((index >= first[:, None]) & (index < end[:, None]))
    rows, columns = inside
    return rows[:, :, None] & columns[:, None, :]


@TASK_UTILS.register_module()
class MaskedAttentionRoute(RegionRoute):
    """Embeddings by masked attention (paper, Table A1, row 3).

    Gives ``masked_boxes``, where a box is the tokens that ``box_token_masks`` says, and where the
    samples have masks ``masked_masks``. A segment without a token sees the class token alone.
    A region costs one more query a block; the image's own tokens are run once for all of them.

    Args:
        region_batch: Boxes and masks of an image that share a pass; beyond, the image is run
            again. One adds a row of 1 + h * w flags and, where no fused kernel serves masks, as
            many float32 weights a head: 0.2 MB a region of a ViT-B/16 at 1024 px.
    """

    def __init__(self, region_batch: int = 256) -> None:
        if region_batch < 1:
            raise ValueError(f'region_batch is at least 1, not {region_batch}')
        self.region_batch = region_batch

    def features(
        self, tower: VisionTower, images: Tensor, crops: Tensor, samples: Sequence[RegionSample]
    ) -> dict[str, Tensor]:
        """Encode the regions (see ``RegionRoute``)."""
        grid = tuple(side // tower.patch_size for side in images.shape[-2:])
        boxes_px = [sample.regions.boxes_px for sample in samples]
        masks = [box_token_masks(boxes, grid, tower.patch_size) for boxes in boxes_px]
        counts = [len(boxes) for boxes in boxes_px]
        if not all('masks' in sample.regions for sample in samples):
            return {'masked_boxes': torch.cat(self._encode(tower, images, masks))}
        both = [
            torch.cat([mask, sample.regions.masks.to(mask)])
            for mask, sample in zip(masks, samples, strict=True)
        ]
        encoded = self._encode(tower, images, both)
        return {
            'masked_boxes': torch.cat([e[:n] for e, n in zip(encoded, counts, strict=True)]),
            'masked_masks': torch.cat([e[n:] for e, n in zip(encoded, counts, strict=True)]),
        }

    def _encode(self, tower: VisionTower, images: Tensor, masks: Sequence[Tensor]) -> list[Tensor]:
        """Embeddings (R_i, D) of each image's token masks (R_i, h, w)."""
        parts = [[images.new_zeros(0, tower.dim)] for _ in masks]
        for start in range(0, max(len(mask) for mask in masks), self.region_batch):
            chunk = [mask[start : start + self.region_batch] for mask in masks]
            encoded = tower.encode_regions_masked(images, chunk)
            for part, rows in zip(parts, encoded.split([len(c) for c in chunk]), strict=True):
                part.append(rows)
        return [torch.cat(part) for part in parts]
