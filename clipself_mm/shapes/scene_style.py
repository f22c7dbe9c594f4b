"""How many objects a scene holds, how large and how crowded they are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SceneStyle:
    """Statistics of the scenes.

    Attributes:
        size: Side of the square image in pixels.
        objects: Least and greatest number of objects.
        side: Least and greatest longest side of an object, as a share of the image.
        max_angle: Objects are rotated by at most this many degrees to either side.
        max_cover: Greatest intersection of two objects' boxes as a share of the smaller one.
        max_stuff: Greatest number of stuff regions.
    """

    size: int = 256
    objects: tuple[int, int] = (3, 9)
    side: tuple[float, float] = (0.2, 0.45)
    max_angle: float = 40.0
    max_cover: float = 0.3
    max_stuff: int = 3
