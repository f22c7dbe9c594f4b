"""Shapes-OV as a set of scenes."""

from __future__ import annotations

from clipself_mm.datasets.annotations.vocabulary import load_vocabulary

from .classes import STUFF_CLASSES, THING_CLASSES, colour_of, shape_of
from .scene import SceneStyle
from .scene_set import SceneSet
from .scenes import render_scene

_LABELS = range(len(THING_CLASSES))

SHAPES_OV = SceneSet(
    name='Shapes-OV',
    things=load_vocabulary('shapes_ov'),
    stuff=STUFF_CLASSES,
    render=render_scene,
    # Objects vary less in size and angle and overlap less than those that the tiny CLIP is trained
    # on, so that a distillation of a few minutes has a measurable effect.
    exported=SceneStyle(side=(0.2, 0.36), max_angle=15, max_cover=0.1),
    varied=SceneStyle(),
    groups=tuple(map(shape_of, _LABELS)),
    definitions=tuple(f'a {shape_of(label)} painted {colour_of(label)}' for label in _LABELS),
)
