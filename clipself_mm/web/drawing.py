"""Boxes and labels of one readable size on images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from clipself_mm.visualization.detections import LabelPlaces

Colour = tuple[int, int, int]


def fit(rgb: np.ndarray, side: int) -> Image.Image:
    """Resize an image to a longest side in pixels, be it smaller or larger.

    Args:
        rgb: Uint8 of shape (H, W, 3).
        side: Longest side of the result.
    """
    image = Image.fromarray(rgb)
    scale = side / max(image.size)
    width, height = (max(1, round(scale * length)) for length in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)


def draw_boxes(
    image: Image.Image,
    boxes: Sequence[Sequence[float]],
    labels: Sequence[str],
    colours: Sequence[Colour],
) -> None:
    """Draw boxes, the first one on top, and their labels as `LabelPlaces` places them.

    Args:
        image: Drawn on, RGB.
        boxes: N boxes, x0, y0, x1, y1 in pixels.
        labels: N labels.
        colours: N colours.
    """
    places = LabelPlaces(image.height, image.width)
    font = ImageFont.load_default(places.size)
    pen = ImageDraw.Draw(image)
    height = 1.25 * places.size
    tags = []
    for box, label in zip(boxes, labels, strict=True):
        width = pen.textlength(label, font) + places.size / 2
        left, top = places.find(width, box[0], box[1])
        tags.append((left, top, left + width, top + height))
    drawn = [*zip(boxes, labels, colours, tags, strict=True)][::-1]
    for box, _, colour, _ in drawn:
        pen.rectangle([*box], outline=colour, width=3)
    for _, label, colour, tag in drawn:
        pen.rectangle(tag, colour)
        centre = (tag[0] + tag[2]) / 2, (tag[1] + tag[3]) / 2
        pen.text(centre, label, 'white', font, anchor='mm')
