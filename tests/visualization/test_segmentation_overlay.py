"""Colours, blending and legend of a segmentation."""

import numpy as np
import pytest
from PIL import Image

from clipself_mm.visualization.segmentation_overlay import (
    blend_labels,
    class_colours,
    draw_segmentation,
)


def test_colours_differ():
    colours = class_colours(150)
    assert colours.shape == (150, 3)
    assert len({tuple(row) for row in colours.tolist()}) == 150
    assert np.array_equal(class_colours(3), colours[:3])
    assert class_colours(0).shape == (0, 3)


def test_blend_by_hand():
    picture = np.full((1, 3, 3), 100, np.uint8)
    colours = np.array([[200, 0, 100], [0, 0, 0]], np.uint8)
    blended = blend_labels(picture, np.array([[0, 1, 255]]), colours, opacity=0.25)
    assert blended.tolist() == [[[125, 75, 100], [75, 75, 75], [100, 100, 100]]]
    with pytest.raises(ValueError, match=r'\(\d, \d\).*\(3, 1\)'):
        blend_labels(picture, np.zeros((3, 1), int), colours)


def test_legend_is_sorted_by_area():
    labels = np.zeros((40, 60), int)
    labels[:30] = 2
    picture = Image.new('L', (60, 40), 255)
    drawn = draw_segmentation(picture, labels, ['cat', 'dog', 'sky'], opacity=1.0)
    colours = class_colours(3).tolist()
    assert drawn.getpixel((5, 5)) == tuple(colours[2])
    assert drawn.getpixel((5, 35)) == tuple(colours[0])
    assert drawn.getpixel((60 + 15, 15)) == tuple(colours[2])
    assert drawn.getpixel((60 + 15, 15 + 28)) == tuple(colours[0])
    assert drawn.height == 10 + 2 * 28
    one = draw_segmentation(picture, labels, ['cat', 'dog', 'sky'], most=1)
    assert one.size[1] == 40
