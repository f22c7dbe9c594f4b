"""Scenes: style, objects, and which objects are annotated."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .classes import THING_CLASSES

MIN_VISIBLE = 0.3
MIN_EXTENT = 8

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels, the maxima exclusive."""


@dataclass(frozen=True)
class SceneStyle:
    """Statistics of the scenes.

    Attributes:
        size: Side of the square image in pixels.
        objects: Minimum and maximum number of objects.
        side: Minimum and maximum of an object's longest side, as a share of the image side.
        max_angle: Maximum rotation in degrees, in both directions.
        max_cover: Maximum intersection of two objects' boxes, as a share of the smaller box.
        max_stuff: Maximum number of stuff regions.
    """

    size: int = 256
    objects: tuple[int, int] = (3, 9)
    side: tuple[float, float] = (0.2, 0.45)
    max_angle: float = 40.0
    max_cover: float = 0.3
    max_stuff: int = 3


@dataclass
class SceneObject:
    """One object of a scene.

    Attributes:
        label: Index into THING_CLASSES.
        rings: Outline in pixels, a list of (P, 2) arrays; a second ring is a hole.
        full_area: Area of its mask in pixels without occlusion.
        visible_area: Area of its visible pixels.
    """

    label: int
    rings: list[np.ndarray]
    full_area: int
    visible_area: int

    @property
    def name(self) -> str:
        """The class name."""
        return THING_CLASSES[self.label]


@dataclass
class Scene:
    """A rendered scene and its ground truth.

    Attributes:
        image: RGB, uint8 (size, size, 3).
        objects: All objects from back to front, including those too occluded to be annotated.
        object_map: uint8 (size, size): 0 where stuff is visible, i + 1 where objects[i] is.
        stuff_map: uint8 (size, size): index into STUFF_CLASSES, also beneath the objects.
    """

    image: np.ndarray
    object_map: np.ndarray
    stuff_map: np.ndarray
    objects: list[SceneObject] = field(default_factory=list)

    def visible_mask(self, number: int) -> np.ndarray:
        """Visible pixels of objects[number], bool (size, size)."""
        return self.object_map == number + 1

    def is_annotated(self, number: int) -> bool:
        """Whether enough of objects[number] is visible: 30% of its area and 8 x 8 pixels."""
        item = self.objects[number]
        if item.visible_area < MIN_VISIBLE * item.full_area:
            return False
        x0, y0, x1, y1 = mask_box(self.visible_mask(number))
        return x1 - x0 >= MIN_EXTENT and y1 - y0 >= MIN_EXTENT

    def annotated(self) -> list[int]:
        """Indices of the annotated objects."""
        return [number for number in range(len(self.objects)) if self.is_annotated(number)]


def mask_box(mask: np.ndarray) -> Box:
    """Tight box of a mask.

    Args:
        mask: Bool or numeric, shape (H, W).

    Returns:
        x0, y0, x1, y1 in pixels, the maxima exclusive; zeros for an empty mask.
    """
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(columns):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
