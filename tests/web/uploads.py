"""Files that somebody may upload, and a word of the sentence that each of them gets."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def png(image):
    buffer = io.BytesIO()
    image.save(buffer, 'PNG')
    return buffer.getvalue()


def png_of_size(width, height):
    """A PNG whose header promises many pixels; it has none."""
    header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    chunks = [(b'IHDR', header), (b'IDAT', b'')]
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
        for kind, data in chunks
    )


_NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8))
WRONG = {
    'text.png': (b'this is no image', 'is not an image'),
    'nothing.png': (b'', 'is empty'),
    'truncated.png': (png(_NOISE)[:3000], 'truncated.png'),
    'film.mp4': (b'\0\0\0\x20ftypisom' + bytes(range(256)), 'is not an image'),
    'film.png': (b'\0\0\0\x20ftypisom' + bytes(range(256)), 'is not an image'),
    'page.svg': (b'<svg xmlns="http://www.w3.org/2000/svg"/>', 'is not an image'),
    'print.eps': (b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n', 'is not an image'),
    'ruler.png': (png(Image.new('L', (500, 5))), 'at most 50 times'),
    'huge.png': (png_of_size(10_000, 6_000), 'at most 50 megapixels'),
    'immense.png': (png_of_size(30_000, 30_000), 'at most 50 megapixels'),
}
"""Name to content and to a part of the answer."""
