"""Images of the page: uploads, which anybody may have made, and sample scenes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from clipself_mm.datasets import ImageReadError
from clipself_mm.datasets.image_files.reading import DECODING_ERRORS
from clipself_mm.datasets.input_images import list_inputs
from clipself_mm.shapes import ShapesOV, render_scene

FORMATS = ('JPEG', 'PNG', 'WEBP', 'GIF', 'BMP', 'TIFF')
"""Formats of Pillow that are decoded. Some others start programs."""
MAX_PIXELS = 50_000_000
MAX_RATIO = 50
MAX_BYTES = 20 * 2**20
SAMPLES = (96, 89, 174, 238)
"""Scenes of no split and of no training, with base and novel classes; chosen among those in which
the shipped detector finds all objects and no other."""


@dataclass(frozen=True, eq=False)
class PageImage:
    """An image of the page.

    Args:
        name: Its file name.
        rgb: Pixels, uint8 of shape (H, W, 3).
        words: Class names to look for in it; '' for an upload.
    """

    name: str
    rgb: np.ndarray
    words: str = ''


def read_upload(path: str | Path) -> PageImage:
    """Read an uploaded file.

    Raises:
        ValueError: It is empty, no image of `FORMATS`, broken or too large; the text is a sentence
            that names the file without its folder.
    """
    path = Path(path)
    size = path.stat().st_size
    if not 0 < size <= MAX_BYTES:
        found = f'has {size / 2**20:.0f} MB' if size else 'is empty'
        raise ValueError(f'{path.name} {found}: choose an image of at most {MAX_BYTES // 2**20} MB')
    try:
        with Image.open(path, formats=FORMATS) as image:
            short, long = sorted(image.size)
    except Image.DecompressionBombError:
        short = long = MAX_PIXELS
    except UnidentifiedImageError:
        kinds = f'{", ".join(FORMATS[:-1])} or {FORMATS[-1]}'
        raise ValueError(
            f'{path.name} is not an image that can be read: choose a {kinds} file'
        ) from None
    except DECODING_ERRORS as error:
        raise ValueError(f'{path.name} cannot be read as an image: {error}') from error
    if short * long > MAX_PIXELS:
        raise ValueError(
            f'{path.name} has too many pixels: choose an image of at most '
            f'{MAX_PIXELS // 10**6} megapixels'
        )
    if long > MAX_RATIO * short:
        raise ValueError(
            f'{path.name} is {long} pixels long and {short} wide: choose an image whose sides '
            f'differ at most {MAX_RATIO} times'
        )
    try:
        (given,) = list_inputs(path)
        return PageImage(path.name, given.read_rgb())
    except ImageReadError as error:
        raise ValueError(f'{path.name}: {error.why}') from error


def sample_images() -> list[PageImage]:
    """Scenes of Shapes-OV, rendered now; `words` are the objects in them."""
    scenes = {number: render_scene(1, 5_000_000 + number, ShapesOV().style) for number in SAMPLES}
    return [
        PageImage(
            f'scene_{number}.png',
            scene.image,
            ', '.join(scene.objects[index].name for index in scene.annotated()),
        )
        for number, scene in scenes.items()
    ]
