"""Class names of Shapes-OV: 65 things (base and novel) and 8 stuff classes.

A thing is one of 13 shapes in one of 5 colours: label = 5 * shape + colour. Stuff labels follow.
"""

from __future__ import annotations

from clipself_mm.datasets.annotations.vocabulary import load_vocabulary

_THINGS = load_vocabulary('shapes_ov')

THING_CLASSES = _THINGS.classes
BASE_CLASSES = _THINGS.base
NOVEL_CLASSES = _THINGS.novel
ALL_CLASSES = load_vocabulary('shapes_ov_panoptic').classes
STUFF_CLASSES = ALL_CLASSES[len(THING_CLASSES) :]


def shape_of(label: int) -> str:
    """Name of the shape of a thing label."""
    return THING_CLASSES[label].split()[1]


def colour_of(label: int) -> str:
    """Name of the colour of a thing label."""
    return THING_CLASSES[label].split()[0]


SHAPES = tuple(dict.fromkeys(map(shape_of, range(len(THING_CLASSES)))))
NOVEL_SHAPES = tuple(dict.fromkeys(name.split()[1] for name in NOVEL_CLASSES))
"""Shapes that are novel in every colour, so that no novel class is a new colour of a base shape."""
