"""Reading of image files whose pixel values are labels."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from clipself_mm.datasets import ImageReadError
from clipself_mm.datasets.image_files import decode_image, read_bytes


def read_label_image(
    results: dict, modes: Collection[str], backend_args: dict | None = None
) -> np.ndarray:
    """Read `seg_map_path` of a sample and check mode and size.

    Args:
        results: The sample, with `seg_map_path`, `ori_shape` (height, width) and `img_path`.
        modes: Allowed PIL modes.
        backend_args: Arguments of MMEngine's file backend.

    Returns:
        The pixels, shape (H, W) or (H, W, channels).

    Raises:
        ImageReadError: The file is broken, or mode or size are not the expected ones.
    """
    path = results['seg_map_path']
    image = decode_image(read_bytes(path, backend_args), path)
    if image.mode not in modes:
        raise ImageReadError(
            path, f'expected labels in mode {", ".join(modes)}, got mode {image.mode}'
        )
    height, width = results['ori_shape'][:2]
    if image.size != (width, height):
        raise ImageReadError(
            path,
            f'the labels have {image.width} x {image.height} pixels, their image '
            f'{results["img_path"]} has {width} x {height}',
        )
    return np.asarray(image)
