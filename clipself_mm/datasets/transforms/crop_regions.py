"""Teacher crops: each region cut out of the source image and resized to the crop size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmengine.registry import TRANSFORMS

from .resize_backends import (
    DEVICE,
    Resize,
    longest_side_size,
    resize_backend,
    resize_by_pillow,
    window_rows,
)


def whole_pixels(box_src: np.ndarray, height: int, width: int) -> tuple[int, int, int, int]:
    """Round the corners of a crop to whole pixels, half to even.

    A box that would get a width or height of 0 gets 1 pixel (the official implementation raises an
    error).

    Args:
        box_src: Box xyxy in source pixels, shape (4).
        height: Height of the image in pixels.
        width: Width of the image in pixels.

    Returns:
        Left, upper, right and lower edge, at least one pixel apart and inside the image.
    """
    x0, y0, x1, y1 = (round(float(edge)) for edge in box_src)
    x0, y0 = min(max(x0, 0), width - 1), min(max(y0, 0), height - 1)
    return x0, y0, min(max(x1, x0 + 1), width), min(max(y1, y0 + 1), height)


def mask_others(image: np.ndarray, mask: np.ndarray, value: int) -> np.ndarray:
    """Return a copy of an image with all pixels outside a mask set to one gray value.

    Args:
        image: uint8 of shape (H, W, 3).
        mask: Booleans of shape (H, W).
        value: Gray value 0..255.

    Returns:
        uint8 of shape (H, W, 3).
    """
    return np.where(mask[..., None], image, np.uint8(value))


def fit_square(
    parts: Sequence[np.ndarray], size: int, resize: Resize = resize_by_pillow
) -> np.ndarray:
    """Resize the longest side of images to `size` and pad them to centred squares with zeros.

    An odd padding pixel goes to the right or bottom. Images of equal size are resized in one call:
    the cells of a grid have at most four sizes.

    Args:
        parts: R images, uint8 of shape (h, w, 3).
        size: Side of a square in pixels.
        resize: Function that resizes, see `resize_backends`.

    Returns:
        uint8 of shape (R, 3, size, size).
    """
    squares = np.zeros((len(parts), 3, size, size), np.uint8)
    indices_of: dict[tuple[int, ...], list[int]] = {}
    for index, part in enumerate(parts):
        indices_of.setdefault(part.shape[:2], []).append(index)
    for (old_height, old_width), indices in indices_of.items():
        height, width = longest_side_size(old_height, old_width, size)
        top, left = (size - height) // 2, (size - width) // 2
        resized = resize(np.stack([parts[index] for index in indices]), height, width)
        for index, pixels in zip(indices, resized, strict=True):
            target = squares[index, :, top : top + height, left : left + width]
            target[:] = pixels.transpose(2, 0, 1)
    return squares


def crop_regions(
    image: np.ndarray, boxes_src: np.ndarray, size: int, resize: Resize = resize_by_pillow
) -> np.ndarray:
    """Cut regions out of an image and fit them into squares, see `fit_square`.

    Args:
        image: uint8 of shape (H, W, 3), or an RGB image of PIL.
        boxes_src: Boxes xyxy in source pixels, shape (R, 4).
        size: Side of a crop in pixels.
        resize: Function that resizes, see `resize_backends`.

    Returns:
        uint8 of shape (R, 3, size, size).
    """
    image = np.asarray(image)
    height, width = image.shape[:2]
    corners = [whole_pixels(box_src, height, width) for box_src in boxes_src]
    return fit_square([image[y0:y1, x0:x1] for x0, y0, x1, y1 in corners], size, resize)


@TRANSFORMS.register_module()
class CropRegions:
    """Cut the teacher's crops out of the source image.

    Needs `crop_boxes_src` and `img` in source pixels, so it comes before `ResizeLongest`. Adds
    `crops`, uint8 of shape (R, 3, size, size), or, for the backend `device`, `crop_windows` (see
    `window_rows`) and `crop_size`.

    Args:
        size: Side of a crop in pixels, the teacher's input size.
        mask_value: None keeps the whole crop. A gray value replaces all pixels outside the segment
            of the region (114 in the official implementation); needs `segment_map` and
            `segment_ids`.
        backend: `pillow` (same pixels as the official implementation), `torch` (faster) or
            `device` (cut and resized by the model's preprocessor), see `resize_backends`.
    """

    def __init__(self, size: int, mask_value: int | None = None, backend: str = 'pillow') -> None:
        if size < 1:
            raise ValueError(f'size is at least 1 pixel, not {size}')
        if mask_value is not None and not 0 <= mask_value <= 255:
            raise ValueError(f'mask_value is a gray value 0..255, not {mask_value}')
        if mask_value is not None and backend == DEVICE:
            raise ValueError("CropRegions: backend='device' cannot replace pixels: no mask_value")
        self.size = size
        self.mask_value = mask_value
        self.resize = resize_backend(backend)

    def __call__(self, results: dict) -> dict:
        """Cut the crops of one sample."""
        if 'scale' in results:
            raise ValueError(
                'CropRegions cuts the source image: put it before ResizeLongest in the pipeline'
            )
        image, boxes_src = results['img'], results['crop_boxes_src']
        if self.resize is None:
            corners = [whole_pixels(box_src, *image.shape[:2]) for box_src in boxes_src]
            results['crop_windows'] = window_rows(corners, self.size)
            results['crop_size'] = self.size
            return results
        if self.mask_value is None:
            results['crops'] = crop_regions(image, boxes_src, self.size, self.resize)
            return results
        parts = []
        for box_src, segment_id in zip(boxes_src, results['segment_ids'], strict=True):
            x0, y0, x1, y1 = whole_pixels(box_src, *image.shape[:2])
            mask = results['segment_map'][y0:y1, x0:x1] == segment_id
            parts.append(mask_others(image[y0:y1, x0:x1], mask, self.mask_value))
        results['crops'] = fit_square(parts, self.size, self.resize)
        return results
