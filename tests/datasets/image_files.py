"""Pictures with an EXIF orientation, broken pictures, and small data sets around them."""

import io
import zlib

import numpy as np
from PIL import Image

from tests.datasets.coco_files import photo

ORIENTATION = 0x0112


def write_oriented(path, size, orientation):
    """Write a random JPEG or PNG of `size` stored pixels with an EXIF orientation."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    photo(*size, seed=7).save(path, exif=exif, quality=95)
    return str(path)


def broken_picture(kind):
    """The bytes of an unusable picture."""
    if kind == 'empty':
        return b''
    if kind == 'html':
        return b'<!DOCTYPE html><html><body>404 not found</body></html>'
    whole = io.BytesIO()
    if kind == 'cut':
        photo(64, 48).save(whole, format='JPEG')
        return whole.getvalue()[: int(0.6 * whole.tell())]
    photo(64, 48).save(whole, format='PNG')
    content = bytearray(whole.getvalue())
    begin = content.index(b'IDAT')
    length = int.from_bytes(content[begin - 4 : begin], 'big')
    content[begin + 44 : begin + 84] = bytes(40)
    crc = zlib.crc32(content[begin : begin + 4 + length])
    content[begin + 4 + length : begin + 8 + length] = crc.to_bytes(4, 'big')
    return bytes(content)


def gray_ramp(width=64, height=48, top=255):
    """Integers 0..top that grow to the right, int64 of shape (height, width)."""
    return np.tile(np.linspace(0, top, width).round().astype(np.int64), (height, 1))
