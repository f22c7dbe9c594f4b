"""Load an image of any mode as 8 bits per channel; unusable files raise `ImageReadError`."""

from __future__ import annotations

import os
from collections.abc import Iterable

import mmcv
import numpy as np
from mmengine import fileio
from mmengine.registry import TRANSFORMS
from PIL import Image

from ..image_files.orientation import Annotation, must_turn, orient
from ..image_files.reading import decode_image, image_size, read_file, read_header, to_rgb
from ..structures import ImageReadError


def annotation_of(results: dict, backend_args: dict | None = None) -> Annotation:
    """Collect what a sample says about the frame of its image.

    Args:
        results: A sample, with any of `width`, `height` (pixels), `boxes_extent` (largest x and y
            of all annotated boxes), `boxes_xywh`, mm's `instances` and `seg_map_path`.
        backend_args: Arguments of MMEngine's file backend for the label map, whose header is read.

    Raises:
        ImageReadError: The label map is not an image. A missing one is left to the step that loads
            it.
    """
    width, height = results.get('width'), results.get('height')
    extent = results.get('boxes_extent')
    if extent is None and len(results.get('boxes_xywh', ())):
        boxes = results['boxes_xywh']
        extent = tuple((boxes[:, :2] + boxes[:, 2:]).max(0).tolist())
    corners = [item['bbox'][2:] for item in results.get('instances') or () if 'bbox' in item]
    if extent is None and corners:
        extent = (max(x for x, _ in corners), max(y for _, y in corners))
    map_path, map_size = results.get('seg_map_path'), None
    if map_path is not None:
        try:
            map_size = image_size(fileio.get(map_path, backend_args=backend_args), map_path)
        except FileNotFoundError:
            map_path = None
    size = (width, height) if width and height else None
    return Annotation(size, extent, map_path, map_size)


@TRANSFORMS.register_module()
class LoadRGB:
    """Load `img_path` as RGB.

    If the sample has the encoded image as `img_bytes`, no file is read. Adds `img` (uint8 of shape
    (H, W, 3)) and `ori_shape` (height, width); `img_path` becomes the path that was found, see
    `read_file`.

    Args:
        exif: Whether the EXIF orientation is applied, see `orient`.
        backend_args: Arguments of MMEngine's file backend.

    Raises:
        ImageReadError: The image cannot be read (see `read_file`, `decode_image`, `to_rgb`), or
            contradicts its annotation (see `orient`).
    """

    strict_size = False
    """Whether an image without boxes must have the annotated size too."""

    def __init__(self, exif: str = 'auto', backend_args: dict | None = None) -> None:
        if exif not in ('auto', 'apply', 'ignore'):
            raise ValueError(f"exif is 'auto', 'apply' or 'ignore', not {exif!r}")
        self.exif = exif
        self.backend_args = backend_args

    def __call__(self, results: dict) -> dict:
        """Load the image of one sample."""
        results['img'] = np.array(self.load(results))
        results['ori_shape'] = results['img'].shape[:2]
        return results

    def load(self, results: dict) -> Image.Image:
        """Read the image of a sample as RGB in the frame of its annotation."""
        path, content = results['img_path'], results.pop('img_bytes', None)
        if content is None:
            path, content = read_file(path, self.backend_args)
            results['img_path'] = path
        image = orient(
            decode_image(content, path),
            path,
            self.exif,
            annotation_of(results, self.backend_args),
            self.strict_size,
        )
        return to_rgb(image, path)

    def check(self, results: dict) -> None:
        """Compare the header of an image with its annotation; the image is not decoded.

        Args:
            results: A sample with `img_path`.

        Raises:
            ImageReadError: As in `orient`, or there is no image.
        """
        path = results['img_path']
        size, orientation = read_header(path, self.backend_args)
        annotation = annotation_of(results, self.backend_args)
        try:
            must_turn(size, orientation, path, self.exif, annotation, self.strict_size)
        except ImageReadError:
            self.load(dict(results))  # an orientation behind the pixels (PNG, XMP) may settle it


def check_first_image(infos: Iterable[dict], steps: Iterable) -> None:
    """Compare the first image whose size matters, if it is a local file, with its annotation.

    Args:
        infos: Samples with `img_path`, before the pipeline.
        steps: Transforms of the pipeline, of which the first `LoadRGB` is asked.

    Raises:
        ImageReadError: As in `LoadRGB.check`.
    """
    reader = next((step for step in steps if isinstance(step, LoadRGB)), None)
    if reader is None:
        return
    for info in infos:
        if reader.strict_size or 'boxes_extent' in info or len(info.get('boxes_xywh', ())):
            if os.path.isfile(info['img_path']):
                reader.check(info)
            return


@TRANSFORMS.register_module()
class LoadBGR(LoadRGB):
    """Load `img_path` as BGR for the pipelines of mm.

    In place of mmcv's `LoadImageFromFile`; the data sets of this package replace that step by this
    one. Adds `img` (uint8 or float32 of shape (H, W, 3)), `img_shape` and `ori_shape` (height,
    width).

    Args:
        exif: As in `LoadRGB`.
        to_float32: Whether `img` is float32, with values 0 to 255.
        backend_args: As in `LoadRGB`.

    Raises:
        ImageReadError: As in `LoadRGB`. The annotated size is also compared where there are no
            boxes.
    """

    strict_size = True

    def __init__(
        self, exif: str = 'auto', to_float32: bool = False, backend_args: dict | None = None
    ) -> None:
        super().__init__(exif, backend_args)
        self.to_float32 = to_float32

    def __call__(self, results: dict) -> dict:
        """Load the image of one sample."""
        image = mmcv.rgb2bgr(np.asarray(self.load(results)))
        results['img'] = image.astype(np.float32) if self.to_float32 else image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results
