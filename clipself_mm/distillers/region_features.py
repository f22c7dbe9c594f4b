"""Extractors of region features: one feature per region of an image (Table A1)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from mmengine.registry import TASK_UTILS
from torch import Tensor

from clipself_mm.clip import VisionTower, mask_pool, roi_pool
from clipself_mm.datasets import RegionSample


class RegionFeatures(ABC):
    """Base class: extracts one feature per region.

    Features are named by what they are computed from, ``boxes``, ``masks`` or ``crops``, with a
    prefix that tells extractors apart (``masked_boxes``).
    """

    @abstractmethod
    def extract(
        self, tower: VisionTower, images: Tensor, crops: Tensor, samples: Sequence[RegionSample]
    ) -> dict[str, Tensor]:
        """Features of all regions of a batch.

        Args:
            tower: The tower to evaluate.
            images: Normalised, shape (N, 3, H, W).
            crops: Normalised crops of all regions, shape (sum of R_i, 3, S, S), or (0, ...).
            samples: With ``regions.boxes_px`` and, if known, ``regions.masks``.

        Returns:
            Name to features of shape (sum of R_i, D), in the order of the images, not normalised.
            Without masks or crops in the samples there are none of their features.
        """


@TASK_UTILS.register_module()
class DenseFeatures(RegionFeatures):
    """Regions pooled from the dense map (paper, section 4.2; Table A1, rows 2 and 4).

    Returns ``boxes`` (RoIAlign) and, if the samples have masks, ``masks`` (mask-weighted mean).
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
    """Image embeddings of the regions' crops, as the teacher computes them (Table A1, row 1).

    Returns ``crops`` if the pipeline has ``CropRegions``.

    Args:
        crop_batch: Crops per forward pass.
    """

    def __init__(self, crop_batch: int = 128) -> None:
        self.crop_batch = crop_batch

    def extract(
        self, tower: VisionTower, images: Tensor, crops: Tensor, samples: Sequence[RegionSample]
    ) -> dict[str, Tensor]:
        """Encode the crops (see ``RegionFeatures``)."""
        regions = sum(len(sample.regions) for sample in samples)
        if len(crops) not in (0, regions):
            raise ValueError(
                f'expected one crop per region, got {len(crops)} crops and {regions} regions'
            )
        if not len(crops):
            return {}
        encoded = [tower.encode_image(part) for part in crops.split(self.crop_batch)]
        return {'crops': torch.cat(encoded)}


@TASK_UTILS.register_module()
class MaskedAttentionFeatures(RegionFeatures):
    """Masked attention: one copy of the class token per region, which attends only to the region.

    As in the paper, Table A1, row 3. Returns ``masked_boxes`` (tokens of a box by
    ``box_token_masks``) and, if the samples have masks, ``masked_masks``. A mask without a token
    attends to the class token alone. A region costs one query per block; the tokens of the image
    are computed once for all regions.

    Args:
        region_batch: Boxes and masks per forward pass of an image. Each adds a row of 1 + h * w
            flags and, without a fused kernel for masks, as many float32 weights per head: 0.2 MB
            per region for ViT-B/16 at 1024 px.
    """

    def __init__(self, region_batch: int = 256) -> None:
        if region_batch < 1:
            raise ValueError(f'region_batch must be at least 1, got {region_batch}')
        self.region_batch = region_batch

    def extract(
        self, tower: VisionTower, images: Tensor, crops: Tensor, samples: Sequence[RegionSample]
    ) -> dict[str, Tensor]:
        """Encode the regions (see ``RegionFeatures``)."""
        height, width = images.shape[-2:]
        grid = (height // tower.patch_size, width // tower.patch_size)
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
    """Tokens of each box: those whose patch overlaps the box, at least one.

    Args:
        boxes_px: xyxy in pixels of the tower's input, shape (R, 4).
        grid: (h, w) of the token grid.
        patch_size: Side of a patch in pixels.

    Returns:
        bool of shape (R, h, w). A box without area, or outside the image, has the nearest token.
    """
    boxes = boxes_px / patch_size  # in units of the grid
    inside = []
    for axis, tokens in ((1, grid[0]), (0, grid[1])):
        first = boxes[:, axis].floor().clamp(0, tokens - 1)
        end = torch.maximum(boxes[:, axis + 2].ceil(), first + 1)
        index = torch.arange(tokens, device=boxes_px.device)
        inside.append((index >= first[:, None]) & (index < end[:, None]))
    rows, columns = inside
    return rows[:, :, None] & columns[:, None, :]
