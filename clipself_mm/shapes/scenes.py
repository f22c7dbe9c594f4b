"""The renderer of Shapes-OV: a scene is a pure function of (seed, index).

Scenes have objects of 65 classes over textured stuff, with exact masks of the visible pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from .classes import STUFF_CLASSES, THING_CLASSES, colour_of, shape_of
from .outlines import place_outline
from .scene import Scene, SceneObject, SceneStyle
from .textures import TEXTURES, Texture

Content = TypeVar('Content')

PALETTE = {
    'red': (216, 38, 38),
    'green': (34, 172, 60),
    'blue': (40, 80, 222),
    'yellow': (246, 214, 32),
    'purple': (158, 48, 186),
}
SUPERSAMPLING = 4


def rasterise(rings: list[np.ndarray], size: int) -> np.ndarray:
    """Rasterise an outline as pycocotools does.

    Args:
        rings: Outer ring and optional hole, (P, 2) in pixels.
        size: Side of the square mask.

    Returns:
        Bool mask (size, size).
    """
    encoded = coco_mask.frPyObjects([ring.ravel().tolist() for ring in rings], size, size)
    masks = coco_mask.decode(encoded).astype(bool)
    return masks[..., 0] & ~masks[..., 1:].any(axis=-1)


def render_scene(seed: int, index: int, style: SceneStyle | None = None) -> Scene:
    """Render one scene.

    Args:
        seed: Seed of the data set.
        index: Index of the scene.
        style: Statistics of the scene, the default style if None.

    Returns:
        The scene, a deterministic function of the arguments.
    """
    style = style or SceneStyle()
    rng = np.random.default_rng([seed, index])
    canvas, stuff_map = draw_stuff(rng, style, [TEXTURES[kind] for kind in STUFF_CLASSES])
    scene = Scene(
        image=np.empty(0), object_map=np.zeros(stuff_map.shape, np.uint8), stuff_map=stuff_map
    )
    for label, corner, outline in place_objects(rng, style, len(THING_CLASSES), _outline):
        rings = [np.round(ring + corner, 2) for ring in outline]
        mask = rasterise(rings, style.size)
        scene.object_map[mask] = len(scene.objects) + 1
        scene.objects.append(SceneObject(label, rings, int(mask.sum()), 0))
        _draw_object(rng, canvas, label, rings)
    finish_scene(rng, scene, canvas)
    return scene


def finish_scene(rng: np.random.Generator, scene: Scene, canvas: np.ndarray) -> None:
    """Set the visible areas and the image of a scene, with random exposure and noise.

    Args:
        rng: Random generator.
        scene: The scene; its object map is complete.
        canvas: Its colours, float32 (size, size, 3), 0-255; changed in place.
    """
    areas = np.bincount(scene.object_map.ravel(), minlength=len(scene.objects) + 1)
    for item, area in zip(scene.objects, areas[1:], strict=True):
        item.visible_area = int(area)
    canvas *= rng.uniform(0.85, 1.1)
    noise = rng.uniform(2, 8) * (rng.random(canvas.shape[:2], dtype=np.float32)[..., None] - 0.5)
    canvas += noise
    scene.image = np.clip(np.rint(canvas), 0, 255).astype(np.uint8)


def draw_stuff(
    rng: np.random.Generator, style: SceneStyle, textures: Sequence[Texture]
) -> tuple[np.ndarray, np.ndarray]:
    """Paint 1 to `max_stuff` regions with wavy borders.

    Args:
        rng: Random generator.
        style: Statistics of the scene.
        textures: One per stuff class.

    Returns:
        Canvas, float32 (size, size, 3), 0-255; and label map, uint8 (size, size).
    """
    count = int(rng.integers(1, style.max_stuff + 1))
    kinds = rng.permutation(len(textures))[:count]
    size = style.size
    axis = np.arange(size, dtype=np.float32) / size
    x, y = np.meshgrid(axis, axis)
    x, y = (
        x + 0.03 * np.sin(y * 9 + rng.uniform(0, 6)),
        y + 0.03 * np.sin(x * 9 + rng.uniform(0, 6)),
    )
    turn = rng.uniform(0, 2 * np.pi)
    angles = turn + 2 * np.pi * np.arange(count) / count + rng.uniform(-0.4, 0.4, count)
    distances = [
        (x - 0.5 - 0.3 * np.cos(angle)) ** 2 + (y - 0.5 - 0.3 * np.sin(angle)) ** 2
        for angle in angles
    ]
    part = np.argmin(distances, axis=0)
    canvas = np.empty((size, size, 3), np.float32)
    for number, kind in enumerate(kinds):
        inside = part == number
        texture = textures[kind](rng, size)
        canvas[inside] = texture[inside] * rng.uniform(0.88, 1.1)
    return canvas, kinds[part].astype(np.uint8)


def _outline(
    label: int, side: float, angle: float, aspect: float
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Size (width, height) of an object and its rings, whose box starts at (0, 0)."""
    rings = place_outline(shape_of(label), (0, 0), side, angle, aspect)
    least = rings[0].min(axis=0)
    return rings[0].max(axis=0) - least, [ring - least for ring in rings]


def place_objects(
    rng: np.random.Generator,
    style: SceneStyle,
    classes: int,
    draw: Callable[[int, float, float, float], tuple[np.ndarray, Content]],
) -> list[tuple[int, np.ndarray, Content]]:
    """Sample classes and places; an object that finds no place in 40 trials is left out.

    Args:
        rng: Random generator.
        style: Statistics of the scene.
        classes: Number of classes.
        draw: Function (label, longest side in pixels, angle in radians, factor on the width) that
            returns the size (width, height) of the object's box in pixels and its content.

    Returns:
        Label, left top corner (x, y) in pixels and content of each object, from back to front.
    """
    low, high = style.objects
    # The smaller of two random numbers: fewer objects are more likely.
    count = int(rng.integers(low, high + 1, 2).min())
    boxes: list[np.ndarray] = []
    placed: list[tuple[int, np.ndarray, Content]] = []
    for _ in range(count):
        label = int(rng.integers(classes))
        angle = np.deg2rad(rng.uniform(-style.max_angle, style.max_angle))
        aspect = rng.uniform(0.85, 1.15)
        largest = style.side[1]
        for _trial in range(40):
            side = rng.uniform(style.side[0], largest) * style.size
            extent, content = draw(label, side, angle, aspect)
            corner = np.round(rng.uniform(0, 1, 2) * np.maximum(style.size - extent, 0), 2)
            box = np.concatenate([corner, corner + extent])
            if all(_cover(box, other) <= style.max_cover for other in boxes):
                boxes.append(box)
                placed.append((label, corner, content))
                break
            # Retry with a smaller object.
            largest = max(style.side[0], 0.95 * largest)
    return placed


def _cover(box: np.ndarray, other: np.ndarray) -> float:
    """Intersection of two boxes as a share of the smaller one."""
    sides = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])
    smaller = min(np.prod(box[2:] - box[:2]), np.prod(other[2:] - other[:2]))
    return float(np.prod(np.maximum(sides, 0)) / smaller)


def _draw_object(
    rng: np.random.Generator, canvas: np.ndarray, label: int, rings: list[np.ndarray]
) -> None:
    """Draw an object with shading and a darker rim into the canvas, anti-aliased."""
    size = canvas.shape[0]
    colour = np.array(PALETTE[colour_of(label)], np.float32) * rng.uniform(0.88, 1.08)
    direction, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.22)
    x0, y0 = np.maximum(np.floor(rings[0].min(axis=0)).astype(int) - 1, 0)
    x1, y1 = np.minimum(np.ceil(rings[0].max(axis=0)).astype(int) + 1, size)
    height, width = y1 - y0, x1 - x0
    fine = np.zeros((height * SUPERSAMPLING, width * SUPERSAMPLING), np.uint8)
    # OpenCV has integer coordinates at pixel centres, outlines have them at pixel corners.
    corners = [np.rint((ring - (x0, y0)) * SUPERSAMPLING - 0.5).astype(np.int32) for ring in rings]
    cv2.fillPoly(fine, corners, 255)
    rim = fine.copy()
    cv2.polylines(rim, corners, True, 0, thickness=SUPERSAMPLING * max(2, size // 100))
    alpha, core = (_shrink(part, width, height) for part in (fine, rim))
    ramp_x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    ramp_y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    shade = 1 + strength * (np.cos(direction) * ramp_x + np.sin(direction) * ramp_y)
    fill = colour * shade * (0.72 + 0.28 * core)
    patch = canvas[y0:y1, x0:x1]
    patch += alpha * (fill - patch)


def _shrink(fine: np.ndarray, width: int, height: int) -> np.ndarray:
    """Average a supersampled mask (0-255) to coverage 0-1, (height, width, 1)."""
    coverage = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
    return coverage.astype(np.float32)[..., None] / 255
