"""Antialiased bicubic resizing of 8-bit pictures, by Pillow or by torch.

Both make two passes of the same filter and round to 8 bit in between. Torch keeps the filter's
weights in 16 bit where Pillow keeps them in 32: a few values in a thousand differ, by a level or
two. Torch always begins with the rows; Pillow 13 begins with the columns where a picture is more
than twice as high as wide, and there some percent of the values differ, at hard edges by more.
Torch's passes are vectorised (AVX2) and several times as fast; its resize of floats is neither as
fast nor, for want of the rounding in between, as close.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

Resize = Callable[[np.ndarray, int, int], Sequence[np.ndarray]]
"""Pictures uint8 (N, H, W, 3), new height, new width -> N pictures uint8 (height, width, 3)."""


def longest_side_size(height: int, width: int, size: int) -> tuple[int, int]:
    """Return the size of a picture whose longest side is brought to a given length.

    Args:
        height: Height in pixels.
        width: Width in pixels.
        size: Length of the longest side in pixels.

    Returns:
        Height and width; the shorter one is rounded half to even, but is at least 1.
    """
    scale = size / max(height, width)
    return max(round(height * scale), 1), max(round(width * scale), 1)


def resize_by_pillow(pictures: np.ndarray, height: int, width: int) -> list[np.ndarray]:
    """Resize pictures of one size, one after the other, as the release does.

    Args:
        pictures: uint8 of shape (N, H, W, 3).
        height: New height in pixels.
        width: New width in pixels.

    Returns:
        N arrays uint8 of shape (height, width, 3).
    """
    return [
        np.array(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))
        for picture in pictures
    ]


def resize_by_torch(pictures: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize pictures of one size in one call.

    Args:
        pictures: uint8 of shape (N, H, W, 3).
        height: New height in pixels.
        width: New width in pixels.

    Returns:
        uint8 of shape (N, height, width, 3).
    """
    # The channels stay last in memory: only so does torch take its fast path.
    pixels = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2)
    resized = F.interpolate(
        pixels, size=(height, width), mode='bicubic', align_corners=False, antialias=True
    )
    return resized.permute(0, 2, 3, 1).numpy()


_BACKENDS: dict[str, Resize] = dict(pillow=resize_by_pillow, torch=resize_by_torch)


def resize_backend(name: str) -> Resize:
    """Return the function of a backend.

    Args:
        name: `pillow`, exactly as the release, or `torch`, several times as fast.

    Raises:
        ValueError: There is no such backend.
    """
    if name not in _BACKENDS:
        raise ValueError(f'backend is one of {sorted(_BACKENDS)}, not {name!r}')
    return _BACKENDS[name]
