"""The student's image: the photo, its longest side brought to the input size."""

from __future__ import annotations

import numpy as np
from mmengine.registry import TRANSFORMS
from PIL import Image


def resize_longest(image: Image.Image, size: int) -> Image.Image:
    """Resize a picture so that its longest side has a given length.

    PIL's bicubic, which antialiases. The other side is rounded half to even, but is at least 1.

    Args:
        image: Any picture.
        size: Length of the longest side in pixels.

    Returns:
        The resized picture.
    """
    scale = size / max(image.size)
    width, height = (max(round(side * scale), 1) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)


@TRANSFORMS.register_module()
class ResizeLongest:
    """Resize `img` and the boxes of its regions.

    Adds `scale`, source pixels to input pixels: exactly `size` / longest side, although the
    shorter side is rounded; `boxes_px`, float32 of shape (R, 4), if the sample has `boxes_src`;
    `img_shape` (height, width) and `input_size` = `size`.

    Args:
        size: Length of the longest side in pixels.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f'size is at least 1 pixel, not {size}')
        self.size = size

    def __call__(self, results: dict) -> dict:
        """Resize one sample."""
        image = Image.fromarray(results['img'])
        results['scale'] = self.size / max(image.size)
        results['img'] = np.array(resize_longest(image, self.size))
        results['img_shape'] = results['img'].shape[:2]
        results['input_size'] = self.size
        if 'boxes_src' in results:
            results['boxes_px'] = (results['boxes_src'] * results['scale']).astype(np.float32)
        return results
