"""Regions of several kinds: those of one kind per image, in given shares, or all together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from mmengine.registry import TASK_UTILS


@TASK_UTILS.register_module()
class MixedRegions:
    """Choose the regions of an image by one of several region samplers, or by all of them.

    Boxes of objects improve objects most, cells of a grid are needed for stuff (paper, Table 2:
    proposals lose what patches gain on stuff masks). A part without a box in an image, for example
    `ProposalRegions(fallback=False)`, leaves the image to the next part of the list.

    Args:
        parts: Configs of region samplers, `GridRegions` or `ProposalRegions`.
        shares: Share of the images of each part, normalised to a sum of 1. None: every image has
            the regions of all parts.

    Raises:
        ValueError: There are no parts, or `shares` has not one positive number per part.
    """

    def __init__(self, parts: Sequence[dict], shares: Sequence[float] | None = None) -> None:
        if not parts:
            raise ValueError('parts: expected at least one region sampler, got none')
        if shares is not None and not _are_shares(shares, len(parts)):
            raise ValueError(
                f'shares: expected one positive number for each of {len(parts)} parts, got {shares}'
            )
        self.parts = [TASK_UTILS.build(part) for part in parts]
        self.shares = None if shares is None else np.array(shares, float) / sum(shares)
        self.reads_boxes = any(getattr(part, 'reads_boxes', False) for part in self.parts)

    def __call__(
        self, results: dict, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Choose the regions of one image.

        Args:
            results: What the parts need: `ori_shape` (height, width) in pixels and, for
                `ProposalRegions`, `boxes_xywh`.
            generator: Source of every random choice.

        Returns:
            Boxes the student pools and boxes of the teacher's crops, both xyxy in source pixels,
            float64 of shape (R, 4).
        """
        if self.shares is None:
            chosen = [part(results, generator) for part in self.parts]
            boxes_src, crop_boxes_src = map(np.concatenate, zip(*chosen, strict=True))
            return boxes_src, crop_boxes_src
        first = int(generator.choice(len(self.parts), p=self.shares))
        for part in (*self.parts[first:], *self.parts[:first]):
            boxes_src, crop_boxes_src = part(results, generator)
            if len(boxes_src):
                break
        return boxes_src, crop_boxes_src


def _are_shares(shares: object, count: int) -> bool:
    return (
        isinstance(shares, Sequence)
        and len(shares) == count
        and all(isinstance(share, (int, float)) and 0 < share < math.inf for share in shares)
    )
