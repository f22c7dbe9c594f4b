"""Shapes-OV, the synthetic benchmark of the package, and its tiny CLIP."""

from .classes import ALL_CLASSES, BASE_CLASSES, NOVEL_CLASSES, STUFF_CLASSES, THING_CLASSES
from .export import SceneSplits, ShapesOV, export_scenes, export_shapes_ov, is_complete
from .scene import Scene, SceneObject, SceneStyle
from .scene_set import SceneSet
from .scenes import render_scene
from .shapes_ov import SHAPES_OV

__all__ = [
    'ALL_CLASSES',
    'BASE_CLASSES',
    'NOVEL_CLASSES',
    'SHAPES_OV',
    'STUFF_CLASSES',
    'THING_CLASSES',
    'Scene',
    'SceneObject',
    'SceneSet',
    'SceneSplits',
    'SceneStyle',
    'ShapesOV',
    'export_scenes',
    'export_shapes_ov',
    'is_complete',
    'render_scene',
]
