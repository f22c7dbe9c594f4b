"""Shapes-OV, the synthetic benchmark of the package, and its tiny CLIP."""

from .classes import ALL_CLASSES, BASE_CLASSES, NOVEL_CLASSES, STUFF_CLASSES, THING_CLASSES
from .export import ShapesOV, export_shapes_ov, is_complete
from .scene import Scene, SceneObject, SceneStyle
from .scenes import render_scene

__all__ = [
    'ALL_CLASSES',
    'BASE_CLASSES',
    'NOVEL_CLASSES',
    'STUFF_CLASSES',
    'THING_CLASSES',
    'Scene',
    'SceneObject',
    'SceneStyle',
    'ShapesOV',
    'export_shapes_ov',
    'is_complete',
    'render_scene',
]
