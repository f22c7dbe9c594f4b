"""Proposals as regions: the paper's training with proposals (Table 2)."""

from __future__ import annotations

import numpy as np
from mmengine.registry import TASK_UTILS

from .enlarge_boxes import enlarge_about


def valid_boxes(
    boxes_xywh: np.ndarray, min_size: float, max_size: float | None, height: int, width: int
) -> np.ndarray:
    """Return which boxes can be regions.

    Args:
        boxes_xywh: Boxes x, y, width, height in source pixels, shape (R, 4).
        min_size: Side of the smallest square allowed, in pixels (an equal area is kept).
        max_size: Side of the largest square allowed, in pixels (an equal area is kept); None
            allows any.
        height: Height of the image in pixels.
        width: Width of the image in pixels.

    Returns:
        Booleans of shape (R): area in [min_size^2, max_size^2] and partly in the image.
    """
    x, y, w, h = boxes_xywh.T
    inside = (w > 0) & (h > 0) & (x < width) & (y < height) & (x + w > 0) & (y + h > 0)
    largest = np.inf if max_size is None else max_size**2
    return inside & (w * h >= min_size**2) & (w * h <= largest)


def proposal_boxes(boxes_xywh: np.ndarray) -> np.ndarray:
    """Convert boxes x, y, width, height to xyxy, float64 of shape (R, 4)."""
    return np.concatenate([boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]], axis=1)


def proposal_crop_boxes(
    boxes_xywh: np.ndarray, crop_scale: float | np.ndarray, height: int, width: int
) -> np.ndarray:
    """Return the boxes of the teacher's crops of proposals.

    Args:
        boxes_xywh: Boxes x, y, width, height in source pixels, shape (R, 4).
        crop_scale: Size of the crop relative to the box, a number or of shape (R, 1).
        height: Height of the image in pixels.
        width: Width of the image in pixels.

    Returns:
        Boxes xyxy clipped to the image, float64 of shape (R, 4).
    """
    centers, sizes = boxes_xywh[:, :2] + boxes_xywh[:, 2:] * 0.5, boxes_xywh[:, 2:]
    return enlarge_about(centers, sizes, crop_scale, height, width)


def top_left_quarter(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the fallback region of an image without a valid box (official implementation).

    Args:
        height: Height of the image in pixels.
        width: Width of the image in pixels.

    Returns:
        The box (0, 0, W/4, H/4) and the box of its crop, rounded down to whole pixels and not
        enlarged; both float64 of shape (1, 4).
    """
    box = np.array([[0, 0, width / 4, height / 4]])
    return box, np.floor(box)


def jitter_boxes(
    boxes_xywh: np.ndarray,
    amount: float,
    height: int,
    width: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """Move each side of each box by a random fraction of its size, clipped to the image.

    Args:
        boxes_xywh: Boxes x, y, width, height in source pixels, shape (R, 4).
        amount: Largest move, relative to the box's width or height, below 0.5.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        generator: Source of the random numbers.

    Returns:
        Boxes x, y, width, height in source pixels, float64 of shape (R, 4).
    """
    noise = generator.uniform(-amount, amount, size=boxes_xywh.shape)
    corners = proposal_boxes(boxes_xywh) + noise * np.tile(boxes_xywh[:, 2:], 2)
    corners = np.clip(corners, 0, [width, height, width, height])
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)


@TASK_UTILS.register_module()
class ProposalRegions:
    """Choose regions from the boxes of the sample.

    Of the first `max_regions` boxes in random order, those with an area in
    [`min_size`^2, `max_size`^2] are kept. The student pools the box; the teacher's crop is the
    enlarged box. An image without a valid box has its top-left quarter as region, or none.

    For boxes with nouns the official implementation always takes the first 20 of an image, of any
    size: `shuffle=False, min_size=0, max_size=None, fallback=False`.

    Args:
        min_size: Side of the smallest square allowed, in source pixels.
        max_size: Side of the largest square allowed, in source pixels; None for no limit.
        max_regions: Largest number of regions per image.
        crop_scale: Size of the teacher's crop relative to the box.
        jitter: Largest move of a side relative to the box size; 0 for none. It makes ground truth
            boxes as inaccurate as proposals.
        fallback: True: an image without a valid box has its top-left quarter as region (official
            implementation). False: it has none, which labelled boxes need.
        shuffle: Whether the order is random. False takes the order of the file, so that an image
            always has the same regions.
    """

    reads_boxes = True

    def __init__(
        self,
        min_size: float = 8,
        max_size: float | None = 1024,
        max_regions: int = 20,
        crop_scale: float = 1.5,
        jitter: float = 0.0,
        fallback: bool = True,
        shuffle: bool = True,
    ) -> None:
        if min_size < 0 or (max_size is not None and max_size < min_size):
            raise ValueError(f'expected 0 <= min_size <= max_size, got {min_size} and {max_size}')
        if max_regions < 1:
            raise ValueError(f'max_regions is at least 1, not {max_regions}')
        if crop_scale <= 0:
            raise ValueError(f'crop_scale is above 0, not {crop_scale}')
        if not 0 <= jitter < 0.5:
            raise ValueError(f'jitter is in [0, 0.5), not {jitter}')
        self.min_size = min_size
        self.max_size = max_size
        self.max_regions = max_regions
        self.crop_scale = crop_scale
        self.jitter = jitter
        self.fallback = fallback
        self.shuffle = shuffle

    def __call__(
        self, results: dict, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Choose the regions of one image.

        Args:
            results: Sample with `ori_shape` (height, width) in pixels and `boxes_xywh` in source
                pixels, shape (R, 4).
            generator: Source of every random choice.

        Returns:
            Boxes the student pools and boxes of the teacher's crops, both xyxy in source pixels,
            float64 of shape (R, 4); R >= 1 with the fallback.
        """
        boxes_src, crop_boxes_src, _ = self.choose(results, generator)
        return boxes_src, crop_boxes_src

    def choose(
        self, results: dict, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Choose the regions of one image and return their indices too.

        Args:
            results: As in the call.
            generator: As in the call.

        Returns:
            The two results of the call, and indices into `boxes_xywh` (int64 of shape (R);
            meaningless for the fallback region).
        """
        count = len(results['boxes_xywh'])
        order = generator.permutation(count) if self.shuffle else np.arange(count)
        boxes_src, crop_boxes_src, positions = self.select(results, order, generator)
        return boxes_src, crop_boxes_src, order[positions] if len(order) else positions

    def select(
        self, results: dict, order: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Select the regions of one image in a given order of its boxes.

        Args:
            results: As in the call.
            order: Indices of the boxes; the first `max_regions` are considered.
            generator: Source of the jitter.

        Returns:
            The two results of the call, and the positions in `order` of the regions (int64 of shape
            (R); 0 for the fallback).
        """
        height, width = results['ori_shape']
        boxes_xywh = np.asarray(results['boxes_xywh'], np.float64).reshape(-1, 4)
        boxes_xywh = boxes_xywh[order[: self.max_regions]]
        valid = valid_boxes(boxes_xywh, self.min_size, self.max_size, height, width)
        positions = np.flatnonzero(valid)
        if not len(positions) and self.fallback:
            return *top_left_quarter(height, width), np.zeros(1, np.int64)
        boxes_xywh = boxes_xywh[positions]
        if self.jitter:
            boxes_xywh = jitter_boxes(boxes_xywh, self.jitter, height, width, generator)
        crop_boxes_src = proposal_crop_boxes(boxes_xywh, self.crop_scale, height, width)
        return proposal_boxes(boxes_xywh), crop_boxes_src, positions
