"""The student's image: its longest side is resized to the input size."""

from __future__ import annotations

import numpy as np
from mmengine.registry import TRANSFORMS

from .resize_backends import longest_side_size, resize_backend, window_rows


@TRANSFORMS.register_module()
class ResizeLongest:
    """Resize `img` and the boxes of its regions.

    Adds `scale` (source pixels to input pixels, exactly `size` / longest side although the shorter
    side is rounded), `img_shape` (height, width), `input_size` = `size` and, if the sample has
    `boxes_src`, `boxes_px` (float32 of shape (R, 4)).

    Args:
        size: Length of the longest side in pixels.
        backend: `pillow` (same pixels as the official implementation), `torch` (faster) or
            `device`, see `resize_backends`: `img` stays the source image, and `image_window` (see
            `window_rows`) says what the model's preprocessor makes of it.
    """

    def __init__(self, size: int, backend: str = 'pillow') -> None:
        if size < 1:
            raise ValueError(f'size is at least 1 pixel, not {size}')
        self.size = size
        self.resize = resize_backend(backend)

    def __call__(self, results: dict) -> dict:
        """Resize one sample."""
        image = results['img']
        height, width = image.shape[:2]
        results['scale'] = self.size / max(height, width)
        shape = longest_side_size(height, width, self.size)
        if self.resize is None:
            results['image_window'] = window_rows([(0, 0, width, height)], self.size)
        elif 'crop_windows' in results:
            raise ValueError(
                "CropRegions with backend='device' needs the source image on the device: set "
                "backend='device' in ResizeLongest too"
            )
        else:
            (results['img'],) = self.resize(image[None], *shape)
        results['img_shape'] = shape
        results['input_size'] = self.size
        if 'boxes_src' in results:
            results['boxes_px'] = (results['boxes_src'] * results['scale']).astype(np.float32)
        return results
