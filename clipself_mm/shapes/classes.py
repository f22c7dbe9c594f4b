"""The names of Shapes-OV: 65 things, their base/novel split, 8 kinds of stuff.

A thing is one of 13 shapes in one of 5 colours. Order is fixed: thing label = 5 * shape + colour,
stuff labels follow the things.
"""

from __future__ import annotations

SHAPES = (
    'circle',
    'square',
    'triangle',
    'star',
    'cross',
    'heart',
    'crescent',
    'ring',
    'arrow',
    'hourglass',
    'bolt',
    'bar',
    'crown',
)
COLOURS = ('red', 'green', 'blue', 'yellow', 'purple')
NOVEL_SHAPES = ('star', 'heart', 'crescent')
"""Shapes held out in every colour, so that no novel class can be composed from base ones."""

STUFF_CLASSES = ('grass', 'water', 'sand', 'brick', 'wood', 'snow', 'gravel', 'tile')
THING_CLASSES = tuple(f'{colour} {shape}' for shape in SHAPES for colour in COLOURS)
ALL_CLASSES = THING_CLASSES + STUFF_CLASSES
NOVEL_CLASSES = tuple(name for name in THING_CLASSES if name.split()[1] in NOVEL_SHAPES)
BASE_CLASSES = tuple(name for name in THING_CLASSES if name not in NOVEL_CLASSES)


def shape_of(label: int) -> str:
    """Returns the shape's name of a thing label."""
    return SHAPES[label // len(COLOURS)]


def colour_of(label: int) -> str:
    """Returns the colour's name of a thing label."""
    return COLOURS[label % len(COLOURS)]
