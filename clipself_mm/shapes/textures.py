"""Procedural textures of the eight stuff classes."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

Texture = Callable[[np.random.Generator, int], np.ndarray]


def _noise(
    rng: np.random.Generator, size: int, cell_x: float, cell_y: float | None = None
) -> np.ndarray:
    """Smooth zero-mean noise (size, size) with cells of `cell_x` by `cell_y` pixels."""
    cell_y = cell_x if cell_y is None else cell_y
    rows, columns = (max(2, round(size / cell)) for cell in (cell_y, cell_x))
    coarse = rng.random((rows, columns), dtype=np.float32) - 0.5
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_LINEAR)


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    axis = np.arange(size, dtype=np.float32)
    return axis[None, :], axis[:, None]


def _paint(base: tuple[int, int, int], value: np.ndarray, contrast: float) -> np.ndarray:
    """Modulate a base colour by a zero-mean brightness map: float32 (size, size, 3)."""
    return np.array(base, np.float32) * (1 + contrast * value)[..., None]


def _grass(rng: np.random.Generator, size: int) -> np.ndarray:
    blades = _noise(rng, size, 2.0, rng.uniform(9, 14)) + 0.4 * _noise(rng, size, 40)
    return _paint((112, 132, 84), blades, 0.8)


def _water(rng: np.random.Generator, size: int) -> np.ndarray:
    x, y = _grid(size)
    wave = np.sin(y * rng.uniform(0.45, 0.65) + 2.2 * np.sin(x * rng.uniform(0.06, 0.1)))
    return _paint((120, 160, 178), wave + 0.5 * _noise(rng, size, 30, 8), 0.13)


def _sand(rng: np.random.Generator, size: int) -> np.ndarray:
    return _paint((212, 192, 154), _noise(rng, size, 1.5) + 0.8 * _noise(rng, size, 50), 0.16)


def _brick(rng: np.random.Generator, size: int) -> np.ndarray:
    x, y = _grid(size)
    height = rng.uniform(9, 13)
    width = 2.2 * height
    y = y + rng.uniform(0, height)
    row = np.floor(y / height)
    x = x + row * width / 2
    mortar = (np.mod(y, height) < 1.7) | (np.mod(x, width) < 1.7)
    column = np.floor(x / width)
    tone = np.mod(np.sin(row * 12.9898 + column * 78.233) * 43758.5, 1.0).astype(np.float32) - 0.5
    wall = _paint((160, 112, 98), tone + 0.3 * _noise(rng, size, 2), 0.25)
    wall[mortar] = (204, 196, 186)
    return wall


def _wood(rng: np.random.Generator, size: int) -> np.ndarray:
    x, _ = _grid(size)
    grain = x * rng.uniform(0.5, 0.75) + 9 * _noise(rng, size, 30, 110)
    plank = np.mod(x, rng.uniform(34, 46)) < 1.6
    board = _paint((146, 110, 76), np.sin(grain) + 0.8 * _noise(rng, size, 2, 30), 0.14)
    board[np.broadcast_to(plank, board.shape[:2])] *= 0.55
    return board


def _snow(rng: np.random.Generator, size: int) -> np.ndarray:
    drift = _noise(rng, size, rng.uniform(24, 40), rng.uniform(14, 24))
    return _paint((230, 234, 240), drift, 0.11)


def _gravel(rng: np.random.Generator, size: int) -> np.ndarray:
    stones = _noise(rng, size, rng.uniform(4.5, 6.5))
    return _paint((128, 126, 124), np.clip(4 * stones, -1, 1) + _noise(rng, size, 2), 0.3)


def _tile(rng: np.random.Generator, size: int) -> np.ndarray:
    x, y = _grid(size)
    side = rng.uniform(13, 18)
    dark = np.mod(np.floor((x + rng.uniform(0, side)) / side) + np.floor(y / side), 2)
    return _paint((198, 198, 202), dark - 0.5, 0.38) + 8 * _noise(rng, size, 60)[..., None]


TEXTURES: dict[str, Texture] = {
    'grass': _grass,
    'water': _water,
    'sand': _sand,
    'brick': _brick,
    'wood': _wood,
    'snow': _snow,
    'gravel': _gravel,
    'tile': _tile,
}
"""Stuff class to a function (generator, size) that returns float32 RGB (size, size, 3), 0-255."""
