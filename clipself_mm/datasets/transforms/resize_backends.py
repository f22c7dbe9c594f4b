"""Antialiased bicubic resizing of 8-bit images, by Pillow or by torch.

Both run two passes of the same filter and round to 8 bit in between. Torch stores the filter
weights in 16 bit and Pillow in 32 bit: about 0.3 % of the values differ, by one or two levels.
Torch always resizes the rows first. Pillow 13 resizes the columns first if an image is more than
twice as high as wide; then some percent of the values differ, more at hard edges. Torch's passes
are vectorised (AVX2) and several times faster. Torch's resize of floats is slower, and differs more
because it does not round in between.

With `device` nothing is resized here: windows are described, and `RegionPreprocessor` cuts and
resizes them on the model's device, columns first as Pillow before 13: nearer to it than torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

Resize = Callable[[np.ndarray, int, int], list[np.ndarray]]
"""Images uint8 (N, H, W, 3), new height, new width -> N images uint8 (height, width, 3)."""


def longest_side_size(height: int, width: int, size: int) -> tuple[int, int]:
    """Return the size of an image whose longest side is resized to a given length.

    Args:
        height: Height in pixels.
        width: Width in pixels.
        size: Length of the longest side in pixels.

    Returns:
        Height and width; the shorter side is rounded half to even and at least 1.
    """
    scale = size / max(height, width)
    return max(round(height * scale), 1), max(round(width * scale), 1)


def resize_by_pillow(images: np.ndarray, height: int, width: int) -> list[np.ndarray]:
    """Resize images of one size, one after the other, as the official implementation does.

    Args:
        images: uint8 of shape (N, H, W, 3).
        height: New height in pixels.
        width: New width in pixels.

    Returns:
        N arrays uint8 of shape (height, width, 3).
    """
    return [
        np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))
        for image in images
    ]


def resize_by_torch(images: np.ndarray, height: int, width: int) -> list[np.ndarray]:
    """Resize images of one size in one call.

    Args:
        images: uint8 of shape (N, H, W, 3).
        height: New height in pixels.
        width: New width in pixels.

    Returns:
        N arrays uint8 of shape (height, width, 3).
    """
    # Torch's fast path needs channels-last memory.
    pixels = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    resized = F.interpolate(
        pixels, size=(height, width), mode='bicubic', align_corners=False, antialias=True
    )
    return list(resized.permute(0, 2, 3, 1).numpy())


def window_rows(corners: Sequence[tuple[int, int, int, int]], size: int) -> np.ndarray:
    """Describe windows whose longest side is resized to a given length, for `resize_windows`.

    Args:
        corners: Left, upper, right and lower edge of R windows in pixels.
        size: Length of the longest side in pixels.

    Returns:
        int32 of shape (R, 6): the corners, then the new height and width.
    """
    rows = [(*c, *longest_side_size(c[3] - c[1], c[2] - c[0], size)) for c in corners]
    return np.array(rows, np.int32).reshape(-1, 6)


DEVICE = 'device'
_BACKENDS: dict[str, Resize] = dict(pillow=resize_by_pillow, torch=resize_by_torch)


def resize_backend(name: str) -> Resize | None:
    """Return the resize function of a backend.

    Args:
        name: `pillow` (same pixels as the official implementation), `torch` (several times
            faster) or `device`, which has none.
    """
    if name == DEVICE:
        return None
    if name not in _BACKENDS:
        raise ValueError(f'backend is one of {sorted([*_BACKENDS, DEVICE])}, not {name!r}')
    return _BACKENDS[name]
