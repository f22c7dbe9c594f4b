"""Read a photo of any kind as 8-bit RGB, or say in one error why that is impossible."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from mmengine import fileio
from mmengine.registry import TRANSFORMS
from PIL import Image, ImageOps

from ..structures import ImageReadError

_DECODING_ERRORS = (
    OSError,
    SyntaxError,  # PIL's answer to a broken PNG header
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


def read_bytes(path: str, backend_args: dict | None = None) -> bytes:
    """Read a file through MMEngine's file backends.

    Args:
        path: Path or URL.
        backend_args: Arguments of the backend.

    Returns:
        The content, at least one byte.

    Raises:
        ImageReadError: If the file is missing, unreadable or empty.
    """
    try:
        content = fileio.get(path, backend_args=backend_args)
    except FileNotFoundError as error:
        raise ImageReadError(path, 'no such file') from error
    except OSError as error:
        raise ImageReadError(path, f'cannot be read: {error}') from error
    if not content:
        raise ImageReadError(path, 'the file is empty')
    return content


def decode_image(content: bytes, path: str) -> Image.Image:
    """Decode a whole picture.

    Args:
        content: The encoded picture.
        path: Its file, for the error.

    Returns:
        The decoded picture in the mode of the file.

    Raises:
        ImageReadError: If it is truncated or no picture.
    """
    try:
        image = Image.open(io.BytesIO(content))
        image.load()
    except _DECODING_ERRORS as error:
        raise ImageReadError(path, f'no whole picture could be decoded: {error}') from error
    if not (image.width and image.height):
        raise ImageReadError(path, f'the picture is {image.width} x {image.height} pixels')
    return image


def to_rgb(image: Image.Image, path: str) -> Image.Image:
    """Convert a picture of any mode to 8-bit RGB.

    Gray is repeated, alpha is dropped (as CLIP's own transform does), CMYK goes through PIL, and
    16-bit gray is divided by 257, so that white stays white where PIL would clip.

    Args:
        image: The picture.
        path: Its file, for the error.

    Returns:
        A picture of mode RGB.

    Raises:
        ImageReadError: If the mode has no 8-bit form (floats, or integers beyond 16 bit).
    """
    if image.mode == 'RGB':
        return image
    if image.mode == 'I' or image.mode.startswith('I;16'):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ImageReadError(
                path, f'gray values {values.min()}..{values.max()} are not 16-bit (0..65535)'
            )
        return Image.fromarray(np.rint(values / 257).astype(np.uint8)).convert('RGB')
    if image.mode == 'F':
        raise ImageReadError(path, 'the picture holds floats, expected 8 or 16 bit integers')
    if image.mode == 'P' and 'transparency' in image.info:
        image = image.convert('RGBA')
    try:
        return image.convert('RGB')
    except ValueError as error:
        raise ImageReadError(path, f'mode {image.mode} has no RGB form: {error}') from error


def orient(
    image: Image.Image, path: str, exif: str, annotated_wh: tuple[int, int] | None
) -> Image.Image:
    """Turn a picture as its EXIF orientation says, if that is wanted.

    Boxes are annotated in one frame, that of the stored pixels (COCO) or that of the turned
    picture, and the annotated size tells which.

    Args:
        image: The picture as stored.
        path: Its file, for the error.
        exif: `apply`, `ignore`, or `auto`: apply only if the turned picture has the annotated
            size and the stored one has not.
        annotated_wh: Width and height in the annotation, None if it has none.

    Returns:
        The picture in the frame of its annotation.

    Raises:
        ImageReadError: If the EXIF data are broken.
    """
    if exif == 'ignore' or (exif == 'auto' and annotated_wh in (None, image.size)):
        return image
    try:
        turned = ImageOps.exif_transpose(image)
    except _DECODING_ERRORS as error:
        raise ImageReadError(path, f'the EXIF orientation cannot be read: {error}') from error
    return turned if exif == 'apply' or turned.size == annotated_wh else image


@TRANSFORMS.register_module()
class LoadRGB:
    """Load `img_path` as RGB.

    Where the encoded picture is there already as `img_bytes`, it is taken and nothing is read.
    Adds `img` (uint8, height x width x 3) and `ori_shape` (height, width).

    Args:
        exif: What to do with an EXIF orientation, see `orient`.
        backend_args: Arguments of MMEngine's file backend.

    Raises:
        ImageReadError: If there is no picture, see `read_bytes`, `decode_image`, `to_rgb`; or, if
            `exif` is `auto` and the sample has boxes, if neither the stored nor the turned
            picture has the annotated size.
    """

    def __init__(self, exif: str = 'auto', backend_args: dict | None = None) -> None:
        if exif not in ('auto', 'apply', 'ignore'):
            raise ValueError(f"exif is 'auto', 'apply' or 'ignore', not {exif!r}")
        self.exif = exif
        self.backend_args = backend_args

    def __call__(self, results: dict) -> dict:
        """Load the picture of one sample."""
        path = results['img_path']
        width, height = results.get('width'), results.get('height')
        annotated = (width, height) if width and height else None
        content = results.pop('img_bytes', None)
        if content is None:
            content = read_bytes(path, self.backend_args)
        image = decode_image(content, path)
        image = to_rgb(orient(image, path, self.exif, annotated), path)
        misplaced = annotated not in (None, image.size) and len(results.get('boxes_xywh', ()))
        if self.exif == 'auto' and misplaced:
            raise ImageReadError(
                path,
                f'the picture is {image.width} x {image.height} pixels, its boxes are annotated on '
                f"{width} x {height} (LoadRGB(exif='ignore') takes it all the same)",
            )
        results['img'] = np.array(image)
        results['ori_shape'] = results['img'].shape[:2]
        return results
