"""Cuts boxes out of scenes the way the teacher of CLIPSelf sees them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels, the maxima exclusive."""


def cut_square(image: Image.Image, box: Box, size: int) -> np.ndarray:
    """Cuts a box out and brings it to a square as the teacher's crops are.

    Args:
        image: RGB image.
        box: x0, y0, x1, y1 in pixels within the image.
        size: Side of the square; the box's longest side is resized to it, bicubic, the rest is
            centred zeros.

    Returns:
        uint8 (size, size, 3).
    """
    x0, y0, x1, y1 = box
    scale = size / max(x1 - x0, y1 - y0)
    width, height = (max(1, round(side * scale)) for side in (x1 - x0, y1 - y0))
    piece = image.crop(box).resize((width, height), Image.Resampling.BICUBIC)
    square = np.zeros((size, size, 3), np.uint8)
    left, top = (size - width) // 2, (size - height) // 2
    square[top : top + height, left : left + width] = np.asarray(piece)
    return square


def enlarge_box(
    box: Sequence[float], scale: float, size: int, shift: Sequence[float] = (0.0, 0.0)
) -> Box:
    """Enlarges a box about its centre and clips it to the image.

    Args:
        box: x0, y0, x1, y1 in pixels.
        scale: Factor on both sides.
        size: Side of the image.
        shift: Offset of the centre as a share of the box's sides.

    Returns:
        Integer corners, rounded half to even.
    """
    low, high = np.array(box[:2], float), np.array(box[2:], float)
    centre = (low + high) / 2 + np.array(shift) * (high - low)
    half = scale * (high - low) / 2
    corners = np.concatenate([centre - half, centre + half])
    return tuple(int(value) for value in np.rint(np.clip(corners, 0, size)))
