"""Image files: finding, decoding, the EXIF orientation, and the readers of mm's data sets."""

from .checked_images import CheckedImages
from .find_respelt import Respelt, find_respelt
from .orientation import orient
from .reading import decode_image, image_size, read_bytes, read_file, to_rgb

__all__ = [
    'CheckedImages',
    'Respelt',
    'decode_image',
    'find_respelt',
    'image_size',
    'orient',
    'read_bytes',
    'read_file',
    'to_rgb',
]
