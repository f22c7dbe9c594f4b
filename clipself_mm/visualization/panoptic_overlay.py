"""A picture under its segments: colours of classes, outlines of instances, names beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from .segmentation_overlay import draw_segmentation

INSTANCE_OFFSET = 1000
"""mmdet's: a pixel's number is its label and 1000 times the number of the instance."""


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
