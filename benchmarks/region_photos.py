"""Photos with boxes that need no download: JPEG files for measuring a data loader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


def write_photo(path: Path, width: int, height: int, seed: int) -> None:
    """Write a JPEG of smooth noise, grain and sharp shapes, about 0.27 bytes a pixel."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), np.uint8)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    grain = np.asarray(smooth) + rng.normal(0, 4, (height, width, 3))
    picture = Image.fromarray(grain.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for number in range(25):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        side = int(rng.integers(9, max(width // 6, 10)))
        shape = draw.ellipse if number % 2 else draw.rectangle
        shape([x, y, x + side, y + side], fill=tuple(int(v) for v in rng.integers(0, 256, 3)))
    picture.save(path, quality=92)


def write_samples(folder: Path, count: int, width: int, height: int) -> list[dict]:
    """Write photos and return them as a data set starts its samples.

    Args:
        folder: Where to.
        count: How many.
        width: Width in pixels.
        height: Height in pixels.

    Returns:
        dicts of `img_path` and `boxes_xywh`, 40 random boxes of 5 to 30% of the sides.
    """
    samples = []
    for number in range(count):
        path = folder / f'{number}.jpg'
        write_photo(path, width, height, number)
        rng = np.random.default_rng([1, number])
        corners, sides = rng.random((40, 2)) * 0.7, 0.05 + rng.random((40, 2)) * 0.25
        boxes_xywh = np.concatenate([corners, sides], 1) * [width, height, width, height]
        samples.append(dict(img_path=str(path), boxes_xywh=boxes_xywh))
    return samples
