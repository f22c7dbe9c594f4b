"""Extractors of region features: from an image and its regions to one feature each (Table A1)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from mmengine.registry import TASK_UTILS
from torch import Tensor

from clipself_mm.clip import VisionTower, mask_pool, roi_pool
from clipself_mm.datasets import RegionSample


class RegionFeatures(ABC):
    """Extracts one feature per region; its numbers stand in one table with those of others.

    The names of what it returns say what the features are of: ``boxes``, ``masks`` or ``crops``,
    with a prefix where another extractor has that name (``masked_boxes``).
    """

    @abstractmethod
    def extract(
        self, tower: VisionTower, images: Tensor, crops: Tensor, samples: Sequence[RegionSample]
    ) -> dict[str, Tensor]:
        """Features of all regions of a batch.

        Args:
            tower: The tower under test.
            images: Normalised, shape (N, 3, H, W).
            crops: Normalised crops of all regions, shape (sum of R_i, 3, S, S), or (0, ...).
            samples: With ``regions.boxes_px`` and, where known, ``regions.masks``.

        Returns:
            Name to features of shape (sum of R_i, D), images in order, not normalised. What the
            samples do not have (masks, crops) is absent.
        """


@TASK_UTILS.register_module()
class DenseFeatures(RegionFeatures):
    """Regions pooled from the dense map (paper, section 4.2; Table A1, rows 2 and 4).

    Gives ``boxes``, by RoIAlign, and where the samples have masks ``masks``, by the mask-weighted
    mean.
    """

    def extract(
        self, tower: VisionTower, images: Tensor, crops: Tensor, samples: Sequence[RegionSample]
    ) -> dict[str, Tensor]:
        """Pool the regions (see ``RegionFeatures``)."""
        dense = tower.encode_dense(images)
        boxes_px = [sample.regions.boxes_px for sample in samples]
        found = {'boxes': roi_pool(dense, boxes_px, tower.patch_size)}
        if all('masks' in sample.regions for sample in samples):
            found['masks'] = mask_pool(dense, [sample.regions.masks for sample in samples])
        return found


@TASK_UTILS.register_module()
class CropFeatures(RegionFeatures):
    """Image embeddings of the regions' crops, the teacher's view (paper, Table A1, row 1).

    Gives ``crops`` where the pipeline cuts them (``CropRegions``).

    Args:
        crop_batch: Crops encoded at a time.
    """

    def __init__(self, crop_batch: int = 128) -> None:
        self.crop_batch = crop_batch

    def extract(
        self, tower: VisionTower, images: Tensor, crops: Tensor, samples: Sequence[RegionSample]
    ) -> dict[str, Tensor]:
        """Encode the crops (see ``RegionFeatures``).

        Raises:
            ValueError: There are crops, but not one for each region.
        """
        regions = sum(len(sample.regions) for sample in samples)
        if len(crops) not in (0, regions):
            raise ValueError(f'got {len(crops)} crops of {regions} regions')
        if not len(crops):
            return {}
        encoded = [tower.encode_image(part) for part in crops.split(self.crop_batch)]
        return {'crops': torch.cat(encoded)}


@TASK_UTILS.register_module()
class MaskedAttentionFeatures(RegionFeatures):
    """Regions encoded by copies of the class token that see nothing else (paper, Table A1, row 3).

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

    def extract(
        self, tower: VisionTower, images: Tensor, crops: Tensor, samples: Sequence[RegionSample]
    ) -> dict[str, Tensor]:
        """Encode the regions (see ``RegionFeatures``)."""
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
