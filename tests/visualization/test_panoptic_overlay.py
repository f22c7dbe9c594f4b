"""Segments drawn over a picture: outlines between instances, colours by class, a legend."""

import numpy as np
import pytest
from PIL import Image

from clipself_mm.visualization import draw_panoptic
from clipself_mm.visualization.segmentation_overlay import class_colours, outlines


def test_outlines_by_hand():
    segments = np.array([[1, 1, 1001], [1, 2, 2]])
    assert outlines(segments).tolist() == [[False, True, True], [True, False, False]]


def test_instances_of_a_class_have_one_colour_and_outlines():
    segments = np.full((40, 60), 1000)
    segments[:, 30:] = 2000
    segments[20:] = 2  # of K = 2 classes: no segment
    panel = draw_panoptic(Image.new('RGB', (60, 40)), segments, ['red star', 'grass'], opacity=1)
    pixels = np.asarray(panel)
    colour = class_colours(2)[0].tolist()
    assert panel.width > 60
    assert panel.height >= 40
    assert pixels[10, 10].tolist() == pixels[10, 50].tolist() == colour
    assert pixels[10, 29].tolist() == [255, 255, 255]
    assert pixels[30, 10].tolist() == [0, 0, 0]
    legend = pixels[:, 60:].reshape(-1, 3)
    assert (legend == colour).all(axis=1).sum() > 100


def test_size_mismatch_raises():
    with pytest.raises(ValueError, match=r'\(4, 6\).*\(6, 4\)'):
        draw_panoptic(Image.new('RGB', (6, 4)), np.zeros((6, 4), int), ['a'])
