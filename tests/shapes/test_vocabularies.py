"""The vocabulary files of Shapes-OV list what the renderer draws."""

from clipself_mm.datasets.annotations.vocabulary import load_vocabulary
from clipself_mm.shapes.classes import (
    ALL_CLASSES,
    BASE_CLASSES,
    NOVEL_CLASSES,
    THING_CLASSES,
)


def test_shapes_ov():
    vocabulary = load_vocabulary('shapes_ov')
    assert vocabulary.classes == THING_CLASSES
    assert vocabulary.base == BASE_CLASSES
    assert vocabulary.novel == NOVEL_CLASSES
    assert vocabulary.things == THING_CLASSES


def test_shapes_ov_panoptic():
    vocabulary = load_vocabulary('shapes_ov_panoptic')
    assert vocabulary.classes == ALL_CLASSES
    assert vocabulary.things == THING_CLASSES
