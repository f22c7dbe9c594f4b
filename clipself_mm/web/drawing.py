"""Boxes and labels of one readable size on images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Rectangle = tuple[float, float, float, float]

_FONT_SHARE = 1 / 36
"""Height of a label as a share of the image's longest side."""


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
    """Draw boxes, the first one on top; a label goes where no other is, if there is such a place.

    Args:
        image: Drawn on, RGB.
        boxes: N boxes, x0, y0, x1, y1 in pixels.
        labels: N labels.
        colours: N colours.
    """
    size = round(_FONT_SHARE * max(image.size))
    font = ImageFont.load_default(size)
    pen = ImageDraw.Draw(image)
    line = max(2, size // 7)
    taken: list[Rectangle] = []
    tags = []
    for box, label in zip(boxes, labels, strict=True):
        tags.append(_place(box, (pen.textlength(label, font) + size / 2, 1.3 * size), image, taken))
        taken.append(tags[-1])
    drawn = [*zip(boxes, labels, colours, tags, strict=True)][::-1]
    for box, _, colour, _ in drawn:
        pen.rectangle([*box], outline=colour, width=line)
    for _, label, colour, tag in drawn:
        pen.rectangle(tag, colour)
        centre = (tag[0] + tag[2]) / 2, (tag[1] + tag[3]) / 2
        pen.text(centre, label, 'white', font, anchor='mm')


def _place(
    box: Sequence[float], size: tuple[float, float], image: Image.Image, taken: Sequence[Rectangle]
) -> Rectangle:
    """Place of a label at its box: the first that covers no other, else the first."""
    (x0, y0, x1, y1), (width, height) = box, size
    corners = [(x0, y0 - height), (x0, y0), (x0, y1), (x1 - width, y1 - height), (x1 - width, y0)]
    places = []
    for left, top in corners:
        left = min(max(left, 0), max(image.width - width, 0))
        top = min(max(top, 0), max(image.height - height, 0))
        places.append((left, top, left + width, top + height))
    return next((place for place in places if not any(_meet(place, t) for t in taken)), places[0])


def _meet(one: Rectangle, other: Rectangle) -> bool:
    """Whether two rectangles have common pixels."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
