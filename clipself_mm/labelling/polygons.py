"""Outlines of masks, for formats without run lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import pycocotools.mask as coco_mask

_SCALE = 2  # pixels are drawn as 2 x 2, so that one pixel has an outline too


def outlines(mask: Mapping[str, Any]) -> list[np.ndarray]:
    """Outlines of the parts of a mask, the largest first; holes are filled.

    Args:
        mask: COCO's run lengths, with at least one pixel.

    Returns:
        Points (x, y) in pixels, float of shape (P, 2), P of at least 3; at most 1 px off.
    """
    x, y, width, height = (int(value) for value in coco_mask.toBbox(mask))
    pixels = coco_mask.decode(mask)[y : y + height, x : x + width]
    pixels = pixels.repeat(_SCALE, 0).repeat(_SCALE, 1)
    found, _ = cv2.findContours(pixels, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    parts = []
    for contour in sorted(found, key=cv2.contourArea, reverse=True):
        simple = cv2.approxPolyDP(contour, _SCALE / 2, True)
        points = (simple if len(simple) > 2 else contour).reshape(-1, 2)
        parts.append((points + 0.5) / _SCALE + (x, y))
    return parts


def one_outline(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Join outlines to one, by lines without area between their nearest points.

    Args:
        parts: Outlines of shape (P, 2).
    """
    joined = parts[0]
    for part in parts[1:]:
        distance = np.square(joined[:, None] - part).sum(-1)
        here, there = np.unravel_index(distance.argmin(), distance.shape)
        loop = np.concatenate([part[there:], part[: there + 1]])
        joined = np.concatenate([joined[: here + 1], loop, joined[here:]])
    return joined
