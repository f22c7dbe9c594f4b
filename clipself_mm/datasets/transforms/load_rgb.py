"""Read an image of any mode as 8-bit RGB; unusable files raise `ImageReadError`."""

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
    SyntaxError,  # raised by PIL for a broken PNG header
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
        ImageReadError: The file is missing, unreadable or empty.
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
    """Decode an image.

    Args:
        content: The encoded image.
        path: Its file, for the error.

    Returns:
        The decoded image in the mode of the file.

    Raises:
        ImageReadError: The content is truncated or not an image.
    """
    try:
        image = Image.open(io.BytesIO(content))
        image.load()
    except _DECODING_ERRORS as error:
        raise ImageReadError(path, f'cannot be decoded as an image: {error}') from error
    if not (image.width and image.height):
        raise ImageReadError(path, f'the image is {image.width} x {image.height} pixels')
    return image


def to_rgb(image: Image.Image, path: str) -> Image.Image:
    """Convert an image of any mode to 8-bit RGB.

    Gray is repeated, alpha is dropped (as in CLIP's transform), CMYK is converted by PIL, and
    16-bit gray is divided by 257 (PIL would clip it).

    Args:
        image: An image of any mode.
        path: Its file, for the error.

    Returns:
        An image of mode RGB.

    Raises:
        ImageReadError: The mode has no 8-bit form (floats, or integers beyond 16 bit).
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
        raise ImageReadError(path, 'the image holds floats, expected 8 or 16 bit integers')
    if image.mode == 'P' and 'transparency' in image.info:
        image = image.convert('RGBA')
    try:
        return image.convert('RGB')
    except ValueError as error:
        raise ImageReadError(path, f'mode {image.mode} has no RGB form: {error}') from error


def orient(
    image: Image.Image, path: str, exif: str, annotated_wh: tuple[int, int] | None
) -> Image.Image:
    """Apply the EXIF orientation where the boxes are annotated in the rotated frame.

    Boxes are annotated in the frame of the stored pixels (COCO) or of the rotated image. The
    annotated size shows which.

    Args:
        image: The image as stored.
        path: Its file, for the error.
        exif: `apply`, `ignore`, or `auto`: apply only if the rotated image has the annotated size
            and the stored image does not.
        annotated_wh: Annotated width and height, None if there are none.

    Returns:
        The image in the frame of its annotation.

    Raises:
        ImageReadError: The EXIF data are broken.
    """
    if exif == 'ignore' or (exif == 'auto' and annotated_wh in (None, image.size)):
        return image
    try:
        rotated = ImageOps.exif_transpose(image)
    except _DECODING_ERRORS as error:
        raise ImageReadError(path, f'the EXIF orientation cannot be read: {error}') from error
    return rotated if exif == 'apply' or rotated.size == annotated_wh else image


@TRANSFORMS.register_module()
class LoadRGB:
    """Load `img_path` as RGB.

    If the sample has the encoded image as `img_bytes`, no file is read. Adds `img` (uint8 of shape
    (H, W, 3)) and `ori_shape` (height, width).

    Args:
        exif: Whether the EXIF orientation is applied, see `orient`.
        backend_args: Arguments of MMEngine's file backend.

    Raises:
        ImageReadError: The image cannot be read (see `read_bytes`, `decode_image`, `to_rgb`); or
            `exif` is `auto`, the sample has boxes, and neither the stored nor the rotated image has
            the annotated size.
    """

    def __init__(self, exif: str = 'auto', backend_args: dict | None = None) -> None:
        if exif not in ('auto', 'apply', 'ignore'):
            raise ValueError(f"exif is 'auto', 'apply' or 'ignore', not {exif!r}")
        self.exif = exif
        self.backend_args = backend_args

    def __call__(self, results: dict) -> dict:
        """Load the image of one sample."""
        path = results['img_path']
        width, height = results.get('width'), results.get('height')
        annotated_wh = (width, height) if width and height else None
        content = results.pop('img_bytes', None)
        if content is None:
            content = read_bytes(path, self.backend_args)
        image = decode_image(content, path)
        image = to_rgb(orient(image, path, self.exif, annotated_wh), path)
        wrong_size = annotated_wh not in (None, image.size) and len(results.get('boxes_xywh', ()))
        if self.exif == 'auto' and wrong_size:
            raise ImageReadError(
                path,
                f'the image is {image.width} x {image.height} pixels, its boxes are annotated on '
                f"{width} x {height}: correct the annotation, or use LoadRGB(exif='ignore')",
            )
        results['img'] = np.array(image)
        results['ori_shape'] = results['img'].shape[:2]
        return results
