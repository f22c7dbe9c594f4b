"""Captioned crops the tiny CLIP is trained with."""

import numpy as np
import pytest

from clipself_mm.shapes.classes import ALL_CLASSES
from projects.tiny_clip.crops import CaptionedCrops, cut_square, enlarge_box


def test_cut_square_centres_and_pads_with_zeros():
    """A 40 x 10 box of plain 200 becomes 64 x 16, rows 24 to 39."""
    image = np.full((50, 50, 3), 200, np.uint8)
    square = cut_square(image, (5, 20, 45, 30), 64)
    expected = np.zeros((64, 64, 3), np.uint8)
    expected[24:40] = 200
    np.testing.assert_array_equal(square, expected)


@pytest.mark.parametrize(
    ('box', 'scale', 'shift', 'expected'),
    [
        ((40, 40, 60, 80), 1.5, (0, 0), (35, 30, 65, 90)),
        ((0, 0, 20, 20), 2.0, (0, 0), (0, 0, 30, 30)),  # clipped to the image
        ((40, 40, 60, 60), 1.0, (0.5, -0.5), (50, 30, 70, 50)),
        ((1, 1, 6, 4), 1.0, (0.1, 0.5), (2, 2, 6, 6)),  # 1.5, 2.5, 6.5, 5.5: half to even
    ],
)
def test_enlarge_box_by_hand(box, scale, shift, expected):
    assert enlarge_box(box, scale, 100, shift) == expected


def test_a_batch_is_a_function_of_seed_and_step():
    crops, again = CaptionedCrops(4, 4, seed=2), CaptionedCrops(4, 4, seed=2)
    again.batch(0, 3)
    one, two = crops.batch(5, 12), again.batch(5, 12)
    np.testing.assert_array_equal(one.images, two.images)
    assert one.captions == two.captions
    assert one.labels == two.labels
    assert crops.batch(6, 12).captions != one.captions
    for text, labels in zip(one.captions, one.labels, strict=True):
        assert all(ALL_CLASSES[label] in text for label in labels)
    assert one.images.shape == (12, 64, 64, 3)
