"""Shapes-OV, the embedded benchmark: scenes in COCO's layout and a tiny CLIP that knows them."""

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
