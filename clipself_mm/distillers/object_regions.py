"""Boxes of objects without any label, from the frozen tower and the colours of the image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from mmengine.structures import InstanceData
from torch import Tensor
from torchvision.ops import nms

from clipself_mm.datasets import RegionSample
from clipself_mm.datasets.regions import enlarge_boxes
from clipself_mm.datasets.transforms.crop_regions import whole_pixels
from clipself_mm.datasets.transforms.resize_backends import window_rows
from clipself_mm.models import FrozenModel, resize_windows

from .region_preprocessor import build_tower_for
from .segment_tree import merge_cells, segment_boxes


@MODELS.register_module()
class ObjectRegions(FrozenModel):
    """Proposes regions for CLIPSelf, for ``tools/test.py`` with a ``ProposalJsonWriter``.

    1. A graph of cells: the frozen dense map beside the mean colour of each cell.
    2. Cells merge into segments of all sizes; a segment is persistent if it is unlike its
       surroundings (``segment_tree.py``).
    3. Boxes of the most persistent segments are cropped. The teacher's embedding of an object
       differs from the mean of all crops of the image, that of a piece of the background does not.
    4. The score is the weighted mean of a box's ranks in persistence and in this difference.

    A box needs no vocabulary, and no network but the tower that is distilled.

    Args:
        tower: Config of a ``VisionTower``.
        data_preprocessor: Config of a ``RegionPreprocessor``.
        grid: Largest number of rows and columns of the graph; larger maps are averaged.
        candidates: Boxes per image that are cropped.
        min_cells: Fewest cells of a segment.
        max_area: Largest area of a segment, as a share of the image.
        iou_threshold: Of the suppression among candidates, the more persistent first.
        crop_scale: Size of the crop relative to the box.
        cue_weights: Of tokens and colours in the graph.
        score_weights: Of persistence and difference in the score.
    """

    def __init__(
        self,
        tower: dict,
        data_preprocessor: dict,
        grid: int = 32,
        candidates: int = 40,
        min_cells: int = 4,
        max_area: float = 0.4,
        iou_threshold: float = 0.8,
        crop_scale: float = 1.5,
        cue_weights: Sequence[float] = (1, 1),
        score_weights: Sequence[float] = (1, 1),
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        if grid < 2 or candidates < 1 or min_cells < 1 or not 0 < max_area <= 1:
            raise ValueError(
                'expected grid >= 2, candidates and min_cells >= 1 and 0 < max_area <= 1, got '
                f'{grid}, {candidates}, {min_cells} and {max_area}'
            )
        if not 0 < iou_threshold <= 1 or crop_scale <= 0:
            raise ValueError(
                'expected 0 < iou_threshold <= 1 and crop_scale > 0, got '
                f'{iou_threshold} and {crop_scale}'
            )
        for name, weights in (('cue_weights', cue_weights), ('score_weights', score_weights)):
            if len(weights) != 2 or min(weights) < 0 or not 0 < sum(weights) < math.inf:
                raise ValueError(f'{name}: expected two numbers >= 0, not both 0, got {weights}')
        self.tower = build_tower_for(self.data_preprocessor, tower)
        self.tower.freeze()
        self.grid = grid
        self.candidates = candidates
        self.min_cells = min_cells
        self.max_area = max_area
        self.iou_threshold = iou_threshold
        self.crop_scale = crop_scale
        self.cue_weights = tuple(cue_weights)
        self.score_weights = tuple(score_weights)
        self.freeze()

    @torch.no_grad()
    def predict(
        self, inputs: dict[str, Tensor], data_samples: list[RegionSample]
    ) -> list[RegionSample]:
        """Write ``pred_instances`` into samples.

        Args:
            inputs: ``images``, normalised and padded to the right and below, (N, 3, H, W).
            data_samples: With ``ori_shape`` and ``scale``.

        Returns:
            The samples; ``bboxes`` (xyxy in source pixels, shape (P_i, 4)) and ``scores`` in
            (0, 1], shape (P_i), best first.
        """
        self.tower.check_sides(inputs['images'])
        sides_px = [
            [max(round(side * sample.scale), 1) for side in sample.ori_shape]
            for sample in data_samples
        ]
        images = torch.stack(
            [
                _complete_cells(image, sides, self.tower.patch_size)
                for image, sides in zip(inputs['images'], sides_px, strict=True)
            ]
        )
        dense = self.tower.encode_dense(images).float()
        for image, features, sides, sample in zip(
            images, dense, sides_px, data_samples, strict=True
        ):
            boxes_px, persistence = self.segments(image, features, *sides)
            scores = self.scores(image[:, : sides[0], : sides[1]], boxes_px, persistence)
            order = scores.argsort(descending=True, stable=True)
            sample.pred_instances = InstanceData(
                bboxes=boxes_px[order] / sample.scale, scores=scores[order]
            )
        return data_samples

    def _forward(self, inputs: dict[str, Tensor], data_samples: object = None) -> Tensor:
        """Dense maps of shape (N, D, h, w)."""
        return self.tower.encode_dense(inputs['images'])

    def segments(
        self, image: Tensor, features: Tensor, height: int, width: int
    ) -> tuple[Tensor, Tensor]:
        """Boxes of the most persistent segments of an image.

        Args:
            image: Normalised and padded, its last cells complete, shape (3, H, W).
            features: Its dense map, shape (D, h, w).
            height: Height of the image without padding, in pixels.
            width: Its width.

        Returns:
            Boxes xyxy in pixels, float32 of shape (C, 4) with C <= ``candidates``, and their
            persistences, shape (C).
        """
        patch = self.tower.patch_size
        rows, columns = -(-height // patch), -(-width // patch)
        shrink = min(1.0, self.grid / max(rows, columns))
        size = max(round(rows * shrink), 1), max(round(columns * shrink), 1)
        maps = [
            F.adaptive_avg_pool2d(item, size)
            for item in (features[:, :rows, :columns], image[:, : rows * patch, : columns * patch])
        ]
        tokens, colours = (item.flatten(1).T for item in maps)
        tokens = tokens - tokens.mean(dim=0)
        cues = zip((tokens, colours), self.cue_weights, strict=True)
        joined = torch.cat([_to_unit_scale(cue) * weight for cue, weight in cues], dim=1)
        largest = self.max_area * size[0] * size[1]
        kept = [
            segment
            for segment in merge_cells(joined.cpu().numpy().reshape(*size, -1))
            if self.min_cells <= len(segment.cells) <= largest
        ]
        boxes, persistence = segment_boxes(kept, size[1])
        cell = np.array([columns * patch / size[1], rows * patch / size[0]] * 2)
        limits = [width, height, width, height]
        boxes_px = torch.from_numpy(np.minimum(boxes * cell, limits)).float()
        values = torch.from_numpy(persistence).float()
        chosen = nms(boxes_px, values, self.iou_threshold)[: self.candidates]
        return boxes_px[chosen].to(image.device), values[chosen].to(image.device)

    def scores(self, image: Tensor, boxes_px: Tensor, persistence: Tensor) -> Tensor:
        """Weighted mean rank of boxes in persistence and in how their crops differ from the others.

        Args:
            image: Normalised, without padding, shape (3, H, W).
            boxes_px: Boxes xyxy in its pixels, shape (C, 4).
            persistence: Of their segments, shape (C).

        Returns:
            Values in (0, 1], shape (C).
        """
        if not len(boxes_px):
            return persistence
        embeddings = F.normalize(self.tower.encode_image(self.crops(image, boxes_px)), dim=-1)
        common = embeddings @ F.normalize(embeddings.mean(dim=0), dim=-1)
        persistent, different = self.score_weights
        ranks = persistent * _ranks(persistence) + different * _ranks(-common)
        return ranks / (sum(self.score_weights) * len(persistence))

    def crops(self, image: Tensor, boxes_px: Tensor) -> Tensor:
        """Crops of enlarged boxes at the tower's size, normalised, shape (C, 3, S, S)."""
        preprocessor = self.data_preprocessor
        height, width = image.shape[-2:]
        pixels = (image * preprocessor.std[0] + preprocessor.mean[0]).mul(255).round()
        enlarged = enlarge_boxes(boxes_px.cpu().numpy(), self.crop_scale, height, width)
        corners = [whole_pixels(box, height, width) for box in enlarged]
        side = self.tower.image_size
        windows = torch.from_numpy(window_rows(corners, side)).to(image.device)
        return preprocessor.normalise(resize_windows(pixels, windows, side, side, centred=True))


def _complete_cells(image: Tensor, sides: Sequence[int], patch: int) -> Tensor:
    """Continue an image to the end of its last cells by its edge pixels; further padding stays.

    Cells that are partly padding would be unlike all others: a strip along the edge.

    Args:
        image: Padded to the right and below, shape (3, H, W).
        sides: Height and width of the image without padding, in pixels.
        patch: Side of a cell in pixels.
    """
    rows, columns = (
        torch.arange(-(-side // patch) * patch, device=image.device).clamp_max(side - 1)
        for side in sides
    )
    image = image.clone()
    image[:, : len(rows), : len(columns)] = image[:, rows][:, :, columns]
    return image


def _to_unit_scale(features: Tensor) -> Tensor:
    """Divide features of shape (L, D) by their mean length."""
    return features / features.norm(dim=1).mean().clamp_min(1e-6)


def _ranks(values: Tensor) -> Tensor:
    """Rank of each value, 1 for the lowest; equal values keep their order."""
    return values.argsort(stable=True).argsort() + 1
