"""A picture under its labels or segments, class names beside it (paper, Figure A3)."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

INSTANCE_OFFSET = 1000
"""mmdet's: a pixel's number is its label and 1000 times the number of the instance."""
_GAP = 10
_SWATCH = 18
_TEXT = 16


def class_colours(count: int) -> np.ndarray:
    """Colours that differ well for neighbouring labels, the same in every picture.

    Args:
        count: Number of classes.

    Returns:
        uint8 RGB of shape (count, 3).
    """
    golden = 0.618033988749895
    colours = [
        colorsys.hsv_to_rgb(label * golden % 1, 0.85 - 0.3 * (label // 3 % 2), 1 - label % 3 * 0.2)
        for label in range(count)
    ]
    return np.rint(255 * np.array(colours).reshape(-1, 3)).astype(np.uint8)


def blend_labels(
    picture: np.ndarray, labels: np.ndarray, colours: np.ndarray, opacity: float = 0.6
) -> np.ndarray:
    """Lay the colours of labels over a picture.

    Args:
        picture: uint8 RGB of shape (H, W, 3).
        labels: Integers of shape (H, W); one that has no colour leaves the pixel as it is.
        colours: uint8 RGB of shape (K, 3).
        opacity: Share of the colour, 0-1.

    Returns:
        uint8 RGB of shape (H, W, 3).

    Raises:
        ValueError: Picture and labels differ in size.
    """
    if picture.shape[:2] != labels.shape:
        raise ValueError(f'picture {picture.shape[:2]} and labels {labels.shape} differ in size')
    blended = picture.astype(np.float64)
    known = (labels >= 0) & (labels < len(colours))
    blended[known] = (1 - opacity) * blended[known] + opacity * colours[labels[known]]
    return np.rint(blended).astype(np.uint8)


def draw_segmentation(
    picture: Image.Image,
    labels: np.ndarray,
    classes: Sequence[str],
    opacity: float = 0.6,
    most: int = 20,
) -> Image.Image:
    """The blended picture and its legend.

    Args:
        picture: Picture of any mode.
        labels: Integers of the picture's shape (H, W).
        classes: Names of the K labels.
        opacity: Share of the colour, 0-1.
        most: How many classes the legend names, the largest first.

    Returns:
        RGB picture; the legend, with each class's share of the pixels, is right of the picture.

    Raises:
        ValueError: Picture and labels differ in size.
    """
    colours = class_colours(len(classes))
    blended = blend_labels(np.asarray(picture.convert('RGB')), labels, colours, opacity)
    known = labels[(labels >= 0) & (labels < len(classes))]
    counts = np.bincount(known.ravel(), minlength=len(classes))
    order = [label for label in np.argsort(-counts, kind='stable') if counts[label]][:most]
    lines = [f'{classes[label]}  {100 * counts[label] / labels.size:.1f} %' for label in order]

    font = ImageFont.load_default(_TEXT)
    wide = max((round(font.getlength(line)) for line in lines), default=0)
    legend = (2 * _GAP + _SWATCH + wide + _GAP, len(lines) * (_SWATCH + _GAP) + _GAP)
    height, width = labels.shape
    panel = Image.new('RGB', (width + legend[0], max(height, legend[1])), 'white')
    panel.paste(Image.fromarray(blended), (0, 0))
    pen = ImageDraw.Draw(panel)
    for row, (label, line) in enumerate(zip(order, lines, strict=True)):
        left, top = width + _GAP, _GAP + row * (_SWATCH + _GAP)
        swatch = (left, top, left + _SWATCH, top + _SWATCH)
        pen.rectangle(swatch, fill=tuple(colours[label].tolist()))
        place = (left + _SWATCH + _GAP, top + _SWATCH / 2)
        pen.text(place, line, fill='black', font=font, anchor='lm')
    return panel


def outlines(segments: np.ndarray) -> np.ndarray:
    """Pixels at which a segment ends.

    Args:
        segments: Numbers of segments, shape (H, W).

    Returns:
        Bool of shape (H, W): the right or the lower neighbour is of another segment.
    """
    edge = np.zeros(segments.shape, bool)
    edge[:, :-1] |= segments[:, :-1] != segments[:, 1:]
    edge[:-1] |= segments[:-1] != segments[1:]
    return edge


def draw_panoptic(
    picture: Image.Image,
    segments: np.ndarray,
    classes: Sequence[str],
    opacity: float = 0.6,
    most: int = 20,
) -> Image.Image:
    """The blended picture with white outlines, and its legend.

    Args:
        picture: Picture of any mode.
        segments: `pred_panoptic_seg.sem_seg` of mmdet, integers of the picture's shape (H, W);
            pixels of no segment have the label K.
        classes: Names of the K labels.
        opacity: Share of the colour, 0-1.
        most: How many classes the legend names, the largest first.

    Returns:
        RGB picture; the legend is right of the picture.

    Raises:
        ValueError: Picture and segments differ in size.
    """
    panel = draw_segmentation(picture, segments % INSTANCE_OFFSET, classes, opacity, most)
    white = Image.fromarray(np.where(outlines(segments), 255, 0).astype(np.uint8))
    panel.paste('white', (0, 0), white)
    return panel
