"""Cuts boxes out of scenes the way the teacher of CLIPSelf sees them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from clipself_mm.datasets.regions.enlarge_boxes import enlarge_about
from clipself_mm.datasets.transforms.crop_regions import crop_regions

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
    return crop_regions(image, np.array([box]), size)[0].transpose(1, 2, 0)


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
    corners = enlarge_about(centre[None], (high - low)[None], scale, size, size)[0]
    return tuple(int(value) for value in np.rint(corners))
