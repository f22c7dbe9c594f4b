"""The box of a teacher crop: the region's box, enlarged about its centre."""

from __future__ import annotations

import numpy as np


def enlarge_boxes(boxes_src: np.ndarray, scale: float, height: int, width: int) -> np.ndarray:
    """Enlarge boxes about their centres and clip them to the image.

    Args:
        boxes_src: Boxes xyxy in pixels of the source image, shape (R, 4).
        scale: Factor on both sides (official implementation: 1.5 for proposals); 1 only clips.
        height: Height of the source image in pixels.
        width: Width of the source image in pixels.

    Returns:
        Boxes xyxy in source pixels, float64 of shape (R, 4).
    """
    boxes_src = np.asarray(boxes_src, np.float64).reshape(-1, 4)
    if scale != 1:
        sizes = boxes_src[:, 2:] - boxes_src[:, :2]
        return enlarge_about(boxes_src[:, :2] + 0.5 * sizes, sizes, scale, height, width)
    limits = [width, height, width, height]
    return np.clip(boxes_src, 0, limits)


def enlarge_about(
    centers_src: np.ndarray,
    sizes_src: np.ndarray,
    scale: float | np.ndarray,
    height: int,
    width: int,
) -> np.ndarray:
    """Return boxes around centres, `scale` times the given sizes, clipped to the image.

    Args:
        centers_src: Centres x, y in source pixels, shape (R, 2).
        sizes_src: Widths and heights in source pixels, shape (R, 2).
        scale: Factor on the sizes, a number or of shape (R, 1).
        height: Height of the source image in pixels.
        width: Width of the source image in pixels.

    Returns:
        Boxes xyxy in source pixels, float64 of shape (R, 4).
    """
    half = sizes_src * (0.5 * scale)
    boxes_src = np.concatenate([centers_src - half, centers_src + half], axis=1)
    return np.clip(boxes_src, 0, [width, height, width, height])
