"""Boxes and masks in the frame that training reads, see docs/data.md, "Image files"."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pycocotools.mask as coco_mask

from .journal import LabelledImage


def to_stored_frame(image: LabelledImage) -> LabelledImage:
    """Turn the labels of an image back where turning does not change its size.

    With another size, the annotated width and height say that the labels are in the turned frame.
    With the same size, readers of the json take the stored frame.
    """
    if image.orientation == 1:
        return image
    masks = image.segmentations
    return replace(
        image,
        boxes=[_turn_box_back(box, image.size, image.orientation) for box in image.boxes],
        segmentations=None if masks is None else [_turn_mask_back(m, image) for m in masks],
        orientation=1,
    )


def _turn_box_back(box: list[float], size: tuple[int, int], orientation: int) -> list[float]:
    """The box in the stored frame, whose size is the same."""
    width, height = size
    corners = [_turn_back(x, y, width, height, orientation) for x, y in (box[:2], box[2:])]
    (x0, x1), (y0, y1) = (sorted(values) for values in zip(*corners, strict=True))
    return [round(value, 2) for value in (x0, y0, x1, y1)]


def _turn_back(
    x: float, y: float, width: int, height: int, orientation: int
) -> tuple[float, float]:
    """A point of the turned frame in the stored frame."""
    return {
        2: (width - x, y),
        3: (width - x, height - y),
        4: (x, height - y),
        5: (y, x),
        6: (y, width - x),
        7: (height - y, width - x),
        8: (height - y, x),
    }[orientation]


def _turn_mask_back(mask: dict[str, Any], image: LabelledImage) -> dict[str, Any]:
    pixels = coco_mask.decode(mask)
    turned = {
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.T,
        6: np.rot90(pixels),
        7: pixels[::-1, ::-1].T,
        8: np.rot90(pixels, -1),
    }[image.orientation]
    found = coco_mask.encode(np.asfortranarray(turned))
    return {'size': [*map(int, found['size'])], 'counts': found['counts'].decode()}
