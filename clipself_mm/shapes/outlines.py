"""Polygons of the 13 shapes, used for rendering and annotation."""

from __future__ import annotations

from functools import cache

import numpy as np

_STRAIGHT: dict[str, tuple[tuple[float, float], ...]] = {
    'square': ((-1, -1), (1, -1), (1, 1), (-1, 1)),
    'triangle': ((0, -1), (1, 0.8), (-1, 0.8)),
    'arrow': (
        (0, -1),
        (0.85, -0.1),
        (0.34, -0.1),
        (0.34, 1),
        (-0.34, 1),
        (-0.34, -0.1),
        (-0.85, -0.1),
    ),
    'hourglass': ((-0.85, -1), (0.85, -1), (0.14, 0), (0.85, 1), (-0.85, 1), (-0.14, 0)),
    'bolt': (
        (0.15, -1),
        (-0.7, 0.2),
        (-0.08, 0.2),
        (-0.25, 1),
        (0.7, -0.3),
        (0.1, -0.3),
        (0.5, -1),
    ),
    'bar': ((-1, -0.24), (1, -0.24), (1, 0.24), (-1, 0.24)),
    'crown': (
        (-1, -0.75),
        (-0.5, -0.05),
        (0, -0.85),
        (0.5, -0.05),
        (1, -0.75),
        (0.85, 0.8),
        (-0.85, 0.8),
    ),
}


def _arc(radius: float, start: float, stop: float, points: int) -> np.ndarray:
    angles = np.linspace(start, stop, points)
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _cross(arm: float = 0.33) -> np.ndarray:
    corner = np.array([(arm, -1), (arm, -arm), (1, -arm)])
    turn = np.array([(0, 1), (-1, 0)])  # a quarter turn for row vectors
    return np.concatenate([corner @ np.linalg.matrix_power(turn, k) for k in range(4)])


def _star(inner: float = 0.42) -> np.ndarray:
    radii = np.where(np.arange(10) % 2 == 0, 1.0, inner)
    angles = -np.pi / 2 + np.arange(10) * np.pi / 5
    return radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 41)[:-1]
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([x, y + 2.5], axis=1) / 16


def _crescent() -> np.ndarray:
    """A unit disc minus the disc of radius 0.8 about (0.55, 0)."""
    x = (1 - 0.8**2 + 0.55**2) / (2 * 0.55)
    outer_tip = np.arctan2(np.sqrt(1 - x**2), x)
    inner_tip = np.arctan2(np.sqrt(1 - x**2), x - 0.55)
    outer = _arc(1.0, outer_tip, 2 * np.pi - outer_tip, 32)
    inner = _arc(0.8, 2 * np.pi - inner_tip, inner_tip, 24) + np.array([0.55, 0])
    return np.concatenate([outer, inner[1:-1]]) + np.array([0.2, 0])


@cache
def unit_outline(shape: str) -> tuple[np.ndarray, ...]:
    """Outline of a shape before scaling and rotation.

    Args:
        shape: One of `SHAPES`.

    Returns:
        Closed rings of shape (P, 2), x right and y down, half of the longest side about 1. The
        first is the outer border, the second, if any, a hole.
    """
    if shape in _STRAIGHT:
        rings = [np.array(_STRAIGHT[shape], dtype=np.float64)]
    elif shape in ('circle', 'ring'):
        rings = [_arc(1.0, 0, 2 * np.pi, 49)[:-1]]
        if shape == 'ring':
            rings.append(_arc(0.52, 0, 2 * np.pi, 33)[:-1])
    else:
        curved = {'cross': _cross, 'star': _star, 'heart': _heart, 'crescent': _crescent}
        rings = [curved[shape]()]
    for ring in rings:
        ring.flags.writeable = False
    return tuple(rings)


def place_outline(
    shape: str, centre: tuple[float, float], side: float, angle: float, aspect: float = 1.0
) -> list[np.ndarray]:
    """Scale, rotate and translate a shape.

    Args:
        shape: Name of the shape.
        centre: Position (x, y) of its origin in pixels.
        side: Length of its longest side before rotation, in pixels.
        angle: Rotation in radians.
        aspect: Factor on its width before rotation.

    Returns:
        Rings of shape (P, 2) in pixels, rounded to 1/100 pixel as in annotation files.
    """
    cos, sin = np.cos(angle), np.sin(angle)
    rotation = np.array([(cos, sin), (-sin, cos)])
    scale = np.array((aspect, 1.0)) * side / 2
    return [np.round((ring * scale) @ rotation + centre, 2) for ring in unit_outline(shape)]
