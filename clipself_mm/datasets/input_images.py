"""Images given to a model at inference: paths, folders, arrays, PIL images, tensors."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import mmcv
import numpy as np
from PIL import Image
from torch import Tensor

from .annotations.image_listing import EXTENSIONS, scan_images
from .image_files import decode_image, find_respelt, orient, read_file, to_rgb
from .image_files.orientation import Annotation
from .image_files.reading import DECODING_ERRORS
from .structures import ImageReadError

FOLDER_EXTENSIONS = (*EXTENSIONS, '.pgm', '.ppm')
"""Images of a folder; any file that PIL opens can be given by its path."""
VIDEO_EXTENSIONS = tuple(
    ['.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv', '.flv', '.mts']
)
KINDS = 'a path, a folder, a uint8 array (BGR), a PIL image, a uint8 tensor (3, H, W) (RGB)'


@dataclass(frozen=True, eq=False)
class InputImage:
    """One image for a model, not read yet.

    Args:
        source: Path, array, PIL image or tensor, see `list_inputs`.
        label: Its path or number, for errors.
        path: Its path or URL, None if it has none.
        name: Its path below the folder that was given, or its file's name; '' without a path.
    """

    source: Any
    label: str
    path: str | None = None
    name: str = ''

    def read_rgb(self) -> np.ndarray:
        """Read the image as people see it: the EXIF orientation is applied.

        Returns:
            RGB, uint8 of shape (H, W, 3). Gray is repeated, alpha is dropped, 16-bit files are
            divided by 257 (see `to_rgb`).

        Raises:
            ImageReadError: The file is missing, broken, or has no 8-bit form.
        """
        if isinstance(self.source, np.ndarray):
            return _three_channels(self.source)[..., ::-1]
        if isinstance(self.source, Tensor):
            return _three_channels(self.source.permute(1, 2, 0).cpu().numpy())
        if isinstance(self.source, Image.Image):
            image = self.source
            try:
                image.load()
            except DECODING_ERRORS as error:
                raise ImageReadError(self.label, f'cannot be decoded: {error}') from error
        else:
            path, content = read_file(self.source)
            image = decode_image(content, path)
        return np.asarray(to_rgb(orient(image, self.label, 'apply', Annotation()), self.label))

    def read_bgr(self) -> np.ndarray:
        """As `read_rgb`, in the order of mm's pipelines; the array is new."""
        pixels = self.read_rgb()
        # Of a plain array in a tenth of the time; what was BGR is a view already.
        return mmcv.rgb2bgr(pixels) if pixels.flags.c_contiguous else pixels[..., ::-1].copy()


def list_inputs(inputs: object, leave_out: str = '') -> list[InputImage]:
    """List the images of an inference call; files are not read.

    Args:
        inputs: One of these, or a list or tuple of them:

            - a path (`str`, `Path`) or URL of an image, or a folder, searched with its sub-folders;
            - a uint8 array, BGR as everywhere in mm: (H, W, 3), (H, W, 4) with alpha, or gray:
              (H, W), (H, W, 1);
            - a PIL image of any mode;
            - a uint8 tensor as torchvision's `read_image` gives it: RGB (3, H, W), RGBA
              (4, H, W), gray (1, H, W).
        leave_out: A folder that is not searched: that of the results, which may be drawings.

    Returns:
        At least one image.

    Raises:
        TypeError: An input has another type.
        ValueError: There is no image, an array has another shape or dtype, or a file is a video.
        ImageReadError: A local file does not exist.
    """
    found: list[InputImage] = []
    if isinstance(inputs, (list, tuple)):
        for index, item in enumerate(inputs):
            found += _read_item(item, f'input {index}', leave_out)
    else:
        found += _read_item(inputs, 'input', leave_out)
    if not found:
        raise ValueError(f'inputs: expected at least one image ({KINDS}), got {inputs!r:.60}')
    return found


def read_image_argument(path: str) -> np.ndarray:
    """Read the image file of a tool's command line; an error ends the tool with one sentence.

    Args:
        path: Path or URL.

    Returns:
        RGB, uint8 of shape (H, W, 3), see `InputImage.read_rgb`.
    """
    if os.path.isdir(path):
        raise SystemExit(f'error: {path}: expected an image file, it is a folder')
    try:
        (image,) = list_inputs(path)
        return image.read_rgb()
    except (ImageReadError, ValueError) as error:
        raise SystemExit(f'error: {error}') from error


def _read_item(item: object, label: str, leave_out: str) -> list[InputImage]:
    """The images of one input; errors as in `list_inputs`."""
    if isinstance(item, InputImage):
        return [item]
    if isinstance(item, (str, Path)):
        return _read_path(str(item), leave_out)
    if isinstance(item, np.ndarray):
        _check_pixels(item, label, item.shape[2:], '(H, W, 3) BGR, (H, W, 4) BGRA or (H, W) gray')
    elif isinstance(item, Tensor):
        shape = '(3, H, W) RGB, (4, H, W) RGBA or (1, H, W) gray'
        _check_pixels(item, label, item.shape[:1] if item.ndim == 3 else (0,), shape)
    elif isinstance(item, Image.Image):
        label = getattr(item, 'filename', '') or label
        if not (item.width and item.height):
            raise ValueError(f'{label}: the image is {item.width} x {item.height} pixels')
    else:
        raise TypeError(f'{label}: expected {KINDS}, got {item!r:.60} ({type(item).__name__})')
    return [InputImage(item, label)]


def _read_path(path: str, leave_out: str) -> list[InputImage]:
    """The image of a file or the images of a folder; errors as in `list_inputs`."""
    url = '://' in path
    if not url and os.path.isdir(path):
        names = scan_images(path, FOLDER_EXTENSIONS)
        if leave_out:
            results = f'{os.path.relpath(leave_out, path)}/'
            names = [name for name in names if not name.startswith(results)]
        return [_of_file(os.path.join(path, name), name) for name in names]
    name = PurePosixPath(urlsplit(path).path if url else path).name
    if name.lower().endswith(VIDEO_EXTENSIONS):
        raise ValueError(
            f'{path}: expected an image, it is a video: write its frames to a folder, as with '
            'ffmpeg -i VIDEO FOLDER/%06d.png'
        )
    if not (url or os.path.exists(path) or find_respelt(path, os.path.exists)):
        raise ImageReadError(path, 'no such file')
    return [_of_file(path, name)]


def _of_file(path: str, name: str) -> InputImage:
    return InputImage(path, path, path, name)


def _check_pixels(
    pixels: np.ndarray | Tensor, label: str, channels: Sequence[int], expected: str
) -> None:
    """Check dtype and shape of an array or tensor; `channels` is () for gray."""
    dtype = str(pixels.dtype).removeprefix('torch.')
    if dtype != 'uint8':
        remedy = _REMEDIES.get(dtype, 'give x as uint8')
        raise ValueError(f'{label}: expected uint8 in 0-255, got {dtype}: {remedy}')
    if pixels.ndim not in (2, 3) or tuple(channels) not in ((), (1,), (3,), (4,)):
        raise ValueError(f'{label}: expected {expected}, got the shape {tuple(pixels.shape)}')
    if 0 in pixels.shape:
        raise ValueError(f'{label}: the image is empty, its shape is {tuple(pixels.shape)}')


_FLOATS = 'for floats in 0-1, give (255 * x).round() as uint8; for floats in 0-255, x.round()'
_REMEDIES = {
    **dict.fromkeys(('float16', 'bfloat16', 'float32', 'float64'), _FLOATS),
    'uint16': 'for 16 bits, give (x / 257).round() as uint8',
    'bool': 'for a mask, give 255 * x as uint8',
}


def _three_channels(pixels: np.ndarray) -> np.ndarray:
    """Repeat gray, (H, W) or (H, W, 1), and drop alpha: shape (H, W, 3)."""
    pixels = pixels.reshape(*pixels.shape[:2], -1)[..., :3]
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


class OutputNames:
    """Names of the output files of images, without ending: of two images never the same.

    The name is the image's, without its ending: `b/1` for `b/1.jpg` of a folder. If another image
    has it, a number follows: `b/1_2`. Images without a path are numbered from 0. An image that is
    given again in a later call has its name again.
    """

    def __init__(self) -> None:
        self._names: dict[Hashable, str] = {}
        self._taken: set[str] = set()
        self._uses: Counter[str] = Counter()
        self._without_path = 0

    def choose(self, images: Sequence[InputImage]) -> list[str]:
        """Names for the images of one call, in their order."""
        seen: Counter[str | None] = Counter()
        chosen = []
        for image in images:
            seen[image.path] += 1
            owner: Hashable = (image.path, seen[image.path])
            name = os.path.splitext(image.name)[0]
            if image.path is None:
                owner, name = (None, self._without_path), str(self._without_path)
                self._without_path += 1
            if owner not in self._names:
                self._names[owner] = self._free(name or 'image')
            chosen.append(self._names[owner])
        return chosen

    def _free(self, name: str) -> str:
        """The name, with a number if it is taken."""
        free = ''
        while not free or free in self._taken:
            self._uses[name] += 1
            free = name if self._uses[name] == 1 else f'{name}_{self._uses[name]}'
        self._taken.add(free)
        return free
