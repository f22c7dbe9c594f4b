"""The teacher's view: each region cut out of the photo and brought to the crop size."""

from __future__ import annotations

import numpy as np
from mmengine.registry import TRANSFORMS
from PIL import Image

from .resize_longest import resize_longest


def whole_pixels(box_src: np.ndarray, height: int, width: int) -> tuple[int, int, int, int]:
    """Round the corners of a crop to whole pixels, half to even.

    A box that would lose its width or height keeps one pixel (the release raises an error there).

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


def pad_centred(image: Image.Image, size: int) -> np.ndarray:
    """Put a picture in the middle of a black square; an odd pixel goes right or below.

    Args:
        image: RGB picture of at most `size` x `size` pixels.
        size: Side of the square in pixels.

    Returns:
        uint8 of shape (size, size, 3).
    """
    square = np.zeros((size, size, 3), np.uint8)
    left, top = (size - image.width) // 2, (size - image.height) // 2
    square[top : top + image.height, left : left + image.width] = np.asarray(image)
    return square


def mask_others(image: np.ndarray, mask: np.ndarray, value: int) -> np.ndarray:
    """Return a copy of an image with everything outside a mask set to one value.

    Args:
        image: uint8 of shape (H, W, 3).
        mask: Booleans of shape (H, W).
        value: Gray value 0..255.

    Returns:
        uint8 of shape (H, W, 3).
    """
    return np.where(mask[..., None], image, np.uint8(value))


def crop_regions(image: Image.Image, boxes_src: np.ndarray, size: int) -> np.ndarray:
    """Cut regions out of a photo: longest side to `size` by PIL's bicubic, centred on black.

    Args:
        image: RGB photo.
        boxes_src: Boxes xyxy in pixels of the photo, shape (R, 4).
        size: Side of a crop in pixels.

    Returns:
        uint8 of shape (R, 3, size, size).
    """
    crops = np.empty((len(boxes_src), 3, size, size), np.uint8)
    for crop, box_src in zip(crops, boxes_src, strict=True):
        part = image.crop(whole_pixels(box_src, image.height, image.width))
        crop[:] = pad_centred(resize_longest(part, size), size).transpose(2, 0, 1)
    return crops


@TRANSFORMS.register_module()
class CropRegions:
    """Cut the teacher's crops out of the source image.

    Needs `img` in source pixels, so it stands before `ResizeLongest`, and `crop_boxes_src`. Adds
    `crops`, uint8 of shape (R, 3, size, size).

    Args:
        size: Side of a crop in pixels, the teacher's input size.
        mask_value: None shows the whole crop. A gray value shows only the region's own segment
            and sets the rest to that value (the release offers 114); needs `segment_map` and
            `segment_ids`.
    """

    def __init__(self, size: int, mask_value: int | None = None) -> None:
        if size < 1:
            raise ValueError(f'size is at least 1 pixel, not {size}')
        if mask_value is not None and not 0 <= mask_value <= 255:
            raise ValueError(f'mask_value is a gray value 0..255, not {mask_value}')
        self.size = size
        self.mask_value = mask_value

    def __call__(self, results: dict) -> dict:
        """Cut the crops of one sample."""
        if 'scale' in results:
            raise ValueError('CropRegions stands before ResizeLongest: it cuts the source image')
        boxes_src = results['crop_boxes_src']
        if self.mask_value is None:
            results['crops'] = crop_regions(Image.fromarray(results['img']), boxes_src, self.size)
            return results
        crops = [np.empty((0, 3, self.size, self.size), np.uint8)]
        for box_src, segment_id in zip(boxes_src, results['segment_ids'], strict=True):
            mask = results['segment_map'] == segment_id
            image = Image.fromarray(mask_others(results['img'], mask, self.mask_value))
            crops.append(crop_regions(image, box_src[None], self.size))
        results['crops'] = np.concatenate(crops)
        return results
