"""Reading and decoding of image files; unusable ones raise `ImageReadError`."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import warnings
import zlib
from typing import BinaryIO

import numpy as np
from mmengine import fileio
from PIL import ExifTags, Image, UnidentifiedImageError

from ..structures import ImageReadError
from .find_respelt import find_respelt
from .log_once import log_once

DECODING_ERRORS = (
    OSError,
    SyntaxError,  # raised by PIL for a broken PNG header
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

# Pillow warns of each large size anew, `decode_image` once; of EXIF data, `orient` needs only one.
warnings.filterwarnings('ignore', category=Image.DecompressionBombWarning)
warnings.filterwarnings('ignore', message='Corrupt EXIF data')

_UNDO = {  # EXIF orientation -> what reverts it
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
_HEIF_BRANDS = (b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx', b'mif1', b'msf1')
_TIFF_PHOTOMETRIC = 262
_SHOWN_BYTES = 24


def read_file(path: str, backend_args: dict | None = None) -> tuple[str, bytes]:
    """Read a file through MMEngine's file backends, also under the spellings of `find_respelt`.

    Args:
        path: Path or URL.
        backend_args: Arguments of the backend.

    Returns:
        The path that exists, and the content, at least one byte.

    Raises:
        ImageReadError: The file is missing, unreadable or empty.
    """
    found = path
    try:
        try:
            content = fileio.get(path, backend_args=backend_args)
        except FileNotFoundError as error:
            found = _existing_spelling(path, backend_args, error)
            content = fileio.get(found, backend_args=backend_args)
    except (OSError, ValueError) as error:
        raise ImageReadError(path, f'cannot be read: {error}') from error
    if not content:
        raise ImageReadError(path, 'the file is empty')
    return found, content


def _existing_spelling(path: str, backend_args: dict | None, error: FileNotFoundError) -> str:
    """The spelling of a missing file that exists, or an error that shows the nearest one."""

    def exists(name: str) -> bool:
        return fileio.isfile(name, backend_args=backend_args)

    respelt = find_respelt(path, exists)
    if respelt is None:
        raise ImageReadError(path, 'no such file') from error
    if not respelt.same:
        raise ImageReadError(
            path, f'no such file; {respelt.name} exists: write its name into the annotation file'
        ) from error
    log_once('spelling', f'{path}: no such file, {respelt.name} is read')
    return respelt.name


def read_bytes(path: str, backend_args: dict | None = None) -> bytes:
    """Read a file, see `read_file`; returns its content only."""
    return read_file(path, backend_args)[1]


def decode_image(content: bytes, path: str) -> Image.Image:
    """Decode an image; of several frames or pages the first.

    Args:
        content: The encoded image.
        path: Its file, for the error.

    Returns:
        The decoded image in the mode and with the orientation of the file. Its `info` has, for
        `to_rgb`, what the pixels do not tell: `from_16_bit` (colours that Pillow reduced to 8 bit)
        and `white_is_zero` (16-bit gray of TIFF, which Pillow does not invert).

    Raises:
        ImageReadError: The content is truncated, too large or not an image.
    """
    image = _open(io.BytesIO(content), path)
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation) if _is_tiff(image) else None
        from_16_bit = any(';16' in str(tile[3]) for tile in getattr(image, 'tile', ()))
        photometric = getattr(image, 'tag_v2', {}).get(_TIFF_PHOTOMETRIC)
        image.load()
    except DECODING_ERRORS as error:
        raise ImageReadError(path, f'cannot be decoded as an image: {error}') from error
    if not (image.width and image.height):
        raise ImageReadError(path, f'the image is {image.width} x {image.height} pixels')
    if orientation in _UNDO and ExifTags.Base.Orientation not in image.getexif():
        image = image.transpose(_UNDO[orientation])  # Pillow turns TIFF, and no other format
        image.getexif()[ExifTags.Base.Orientation] = orientation
    image.info.update(
        from_16_bit=from_16_bit and image.mode in ('RGB', 'RGBA', 'LA'),
        white_is_zero=_is_16_bit(image) and photometric == 0,
    )
    return image


def read_header(path: str, backend_args: dict | None = None) -> tuple[tuple[int, int], int]:
    """Read size and orientation of an image, of a local file from its header only.

    Args:
        path: Path or URL.
        backend_args: Arguments of the backend.

    Returns:
        Width and height as stored, in pixels; EXIF orientation, 1 to 8. EXIF data behind the pixels
        of a PNG are not read.

    Raises:
        ImageReadError: The file is missing, empty or not an image.
    """
    if not os.path.isfile(path) or not os.path.getsize(path):
        file: BinaryIO = io.BytesIO(read_file(path, backend_args)[1])
    else:
        file = open(path, 'rb')  # noqa: SIM115
    with file:
        image = _open(file, path)
        orientation = 1
        if image.format != 'PNG' or 'exif' in image.info:
            with contextlib.suppress(*DECODING_ERRORS):  # told when it is needed
                orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    return image.size, orientation if orientation in range(2, 9) else 1


def image_size(content: bytes, path: str) -> tuple[int, int]:
    """Width and height of an encoded image in pixels; raises `ImageReadError` like the decoder."""
    return _open(io.BytesIO(content), path).size


def _is_16_bit(image: Image.Image) -> bool:
    return image.mode == 'I' or image.mode.startswith('I;16')


def _is_tiff(image: Image.Image) -> bool:
    return getattr(image, 'format', None) == 'TIFF'


def _open(file: BinaryIO, path: str) -> Image.Image:
    """Read the header of an image."""
    try:
        try:
            image = Image.open(file)
        except UnidentifiedImageError as error:
            file.seek(0)
            start = file.read(_SHOWN_BYTES)
            if not (start[4:8] == b'ftyp' and start[8:12] in _HEIF_BRANDS):
                raise ImageReadError(
                    path, f'is not an image, or not one Pillow can read: it begins with {start!r}'
                ) from error
            _register_heif(path)
            file.seek(0)
            image = Image.open(file)
    except DECODING_ERRORS as error:
        raise ImageReadError(path, f'cannot be decoded as an image: {error}') from error
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        log_once(
            'large',
            f'{path}: {image.width} x {image.height} pixels are more than {limit}, '
            "Pillow's limit for a warning; above twice the limit, images are refused",
        )
    return image


def _register_heif(path: str) -> None:
    """Let Pillow read HEIC, if the package for it is installed."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise ImageReadError(
            path, 'is a HEIC image: pip install pillow-heif, or convert it to JPEG'
        ) from error
    register_heif_opener()


def to_rgb(image: Image.Image, path: str) -> Image.Image:
    """Convert an image of any mode to 8-bit RGB.

    Gray is repeated, alpha is dropped (as in CLIP's transform), CMYK is converted by PIL, and
    16-bit gray is divided by 257 (PIL would clip it). Colour profiles are ignored.

    Args:
        image: An image of any mode, from `decode_image`.
        path: Its file, for the error.

    Returns:
        An image of mode RGB.

    Raises:
        ImageReadError: The mode has no 8-bit form (floats, or integers beyond 16 bit), or 16-bit
            values are so small that they must be data of at most 12 bit.
    """
    if _is_16_bit(image):
        return _gray_to_rgb(np.asarray(image).astype(np.int64), image.info, path)
    if image.mode in ('F', 'LAB'):
        what = dict(F='floats', LAB='CIELAB colours')[image.mode]
        raise ImageReadError(path, f'the image holds {what}, expected 8 or 16 bit integers')
    if image.info.get('from_16_bit'):
        colours = image.getchannel('L') if image.mode == 'LA' else image.convert('RGB')
        _check_16_bit(256 * int(np.asarray(colours).max()) + 255, path)  # Pillow drops the low byte
    if image.mode == 'RGB':
        return image
    if image.mode == 'P' and 'transparency' in image.info:
        image = image.convert('RGBA')
    try:
        return image.convert('RGB')
    except ValueError as error:
        raise ImageReadError(path, f'mode {image.mode} has no RGB form: {error}') from error


def _gray_to_rgb(values: np.ndarray, info: dict, path: str) -> Image.Image:
    """Convert 16-bit gray, int64 of shape (H, W)."""
    if values.min() < 0 or values.max() > 65535:
        raise ImageReadError(
            path, f'gray values {values.min()}..{values.max()} are not 16-bit (0..65535)'
        )
    if info.get('white_is_zero'):
        values = 65535 - values
    _check_16_bit(int(values.max()), path)
    return Image.fromarray(np.rint(values / 257).astype(np.uint8)).convert('RGB')


def _check_16_bit(largest: int, path: str) -> None:
    """Refuse 16-bit images that hold 12-bit data, which would be black; warn of dark ones."""
    if 0 < largest < 4096:
        raise ImageReadError(
            path,
            f'no 16-bit value exceeds {largest}: it seems to hold data of '
            f'{max(8, largest.bit_length())} bit, which would be nearly black. Convert the images '
            'to 8 bit with the scale that suits them',
        )
    if 0 < largest < 16384:
        log_once(
            'dark',
            f'{path}: no 16-bit value exceeds {largest} of 65535, the image is dark. If it holds '
            'data of 14 bit or less, convert the images to 8 bit',
        )
