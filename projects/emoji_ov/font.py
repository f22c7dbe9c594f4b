"""The emoji of the classes, drawn by a font with colour bitmaps."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from clipself_mm.shapes.scene import mask_box

from .classes import EMOJI

FONT = Path('/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf')
"""Noto Color Emoji (SIL Open Font License) where Debian's package has it."""
PACKAGE = 'fonts-noto-color-emoji'
_PIXELS = 109
"""The only size that the bitmaps of this font have."""
_CANVAS = 136
_UNASSIGNED = '\U0010ffff'


def font_source(font: str | Path) -> str:
    """File name and first digits of the digest of a font, which say how emoji look.

    Raises:
        FileNotFoundError: There is no such file.
    """
    path = Path(font)
    if not path.is_file():
        raise FileNotFoundError(
            f'font {path} does not exist: install the Debian package {PACKAGE} or give the path of '
            'NotoColorEmoji.ttf with --font'
        )
    return f'{path.name} sha256:{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}'


@cache
def load_emoji(font: str | Path) -> tuple[np.ndarray, ...]:
    """Draw the emoji of all classes.

    Args:
        font: Path of the font.

    Returns:
        One image per thing, cut to what is drawn: float32 RGBA (h, w, 4) in 0-1, the colours
        multiplied by alpha.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a font with colour bitmaps, or it has no emoji of a class.
    """
    font_source(font)
    try:
        face = ImageFont.truetype(str(font), _PIXELS)
    except OSError as error:
        raise ValueError(
            f'font {font}: expected colour bitmaps of {_PIXELS} px like NotoColorEmoji.ttf: {error}'
        ) from error
    unknown = _draw(face, _UNASSIGNED)
    images = []
    for name, text in (pair for group in EMOJI.values() for pair in group.items()):
        image = _draw(face, text)
        x0, y0, x1, y1 = mask_box(image[..., 3] > 0)
        if x1 == x0 or np.array_equal(image, unknown):
            raise ValueError(
                f'font {font} draws nothing for class {name!r}: use the NotoColorEmoji.ttf of the '
                f'Debian package {PACKAGE}'
            )
        image = image[y0:y1, x0:x1]
        image.flags.writeable = False
        images.append(image)
    return tuple(images)


def _draw(face: ImageFont.FreeTypeFont, text: str) -> np.ndarray:
    """A text on a transparent canvas: float32 RGBA, colours multiplied by alpha."""
    canvas = Image.new('RGBA', (_CANVAS, _CANVAS))
    ImageDraw.Draw(canvas).text((0, 0), text, font=face, embedded_color=True)
    image = np.asarray(canvas, np.float32) / 255
    return np.concatenate([image[..., :3] * image[..., 3:], image[..., 3:]], axis=-1)
