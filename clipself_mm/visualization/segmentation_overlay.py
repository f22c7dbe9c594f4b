"""Figures of semantic and panoptic segmentation with a legend (paper, Figure A3)."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

INSTANCE_OFFSET = 1000
"""As in mmdet: value of a pixel = label + 1000 * instance."""
_GAP = 10
_SWATCH = 18
_TEXT = 16


def class_colours(count: int) -> np.ndarray:
    """Fixed colours, distinct for neighbouring labels.

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
    pixels: np.ndarray, labels: np.ndarray, colours: np.ndarray, opacity: float = 0.6
) -> np.ndarray:
    """Blend an image with the colours of its labels.

    Args:
        pixels: uint8 RGB of shape (H, W, 3).
        labels: Integers of shape (H, W); pixels with other labels than 0..K-1 stay unchanged.
        colours: uint8 RGB of shape (K, 3).
        opacity: Weight of the colour, 0-1.

    Returns:
        uint8 RGB of shape (H, W, 3).

    Raises:
        ValueError: Image and labels differ in size.
    """
    if pixels.shape[:2] != labels.shape:
        raise ValueError(f'image {pixels.shape[:2]} and labels {labels.shape} differ in size')
    blended = pixels.astype(np.float64)
    known = (labels >= 0) & (labels < len(colours))
    blended[known] = (1 - opacity) * blended[known] + opacity * colours[labels[known]]
    return np.rint(blended).astype(np.uint8)


def draw_segmentation(
    image: Image.Image,
    labels: np.ndarray,
    classes: Sequence[str],
    opacity: float = 0.6,
    most: int = 20,
) -> Image.Image:
    """Draw the labels of an image, with a legend to the right.

    Args:
        image: Image of any mode.
        labels: Integers of the image's shape (H, W).
        classes: Names of the K labels.
        opacity: Weight of the colours, 0-1.
        most: Number of classes in the legend, the largest first.

    Returns:
        The figure, RGB; the legend has each class's share of the pixels.

    Raises:
        ValueError: Image and labels differ in size.
    """
    colours = class_colours(len(classes))
    blended = blend_labels(np.asarray(image.convert('RGB')), labels, colours, opacity)
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
    """Borders between segments.

    Args:
        segments: Segment ids, shape (H, W).

    Returns:
        Bool of shape (H, W): the right or lower neighbour has a different id.
    """
    edge = np.zeros(segments.shape, bool)
    edge[:, :-1] |= segments[:, :-1] != segments[:, 1:]
    edge[:-1] |= segments[:-1] != segments[1:]
    return edge


def draw_panoptic(
    image: Image.Image,
    segments: np.ndarray,
    classes: Sequence[str],
    opacity: float = 0.6,
    most: int = 20,
) -> Image.Image:
    """Draw the segments of an image with white outlines, and a legend to the right.

    Args:
        image: Image of any mode.
        segments: `pred_panoptic_seg.sem_seg` of mmdet, integers of the image's shape (H, W);
            pixels without a segment have label K.
        classes: Names of the K labels.
        opacity: Weight of the colours, 0-1.
        most: Number of classes in the legend, the largest first.

    Returns:
        The figure, RGB.

    Raises:
        ValueError: Image and segments differ in size.
    """
    panel = draw_segmentation(image, segments % INSTANCE_OFFSET, classes, opacity, most)
    white = Image.fromarray(np.where(outlines(segments), 255, 0).astype(np.uint8))
    panel.paste('white', (0, 0), white)
    return panel
