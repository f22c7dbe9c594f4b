"""Reading an image file whose pixels are labels."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from clipself_mm.datasets import ImageReadError
from clipself_mm.datasets.transforms.load_rgb import decode_image, read_bytes


def read_label_image(
    results: dict, modes: Collection[str], backend_args: dict | None = None
) -> np.ndarray:
    """Read `seg_map_path` of a sample and compare it with the image it annotates.

    Args:
        results: The sample, with `seg_map_path`, `ori_shape` (height, width) and `img_path`.
        modes: Modes of PIL that the file may have.
        backend_args: Arguments of MMEngine's file backend.

    Returns:
        The pixels, shape (H, W) or (H, W, channels).

    Raises:
        ImageReadError: The file is broken, of another mode, or of another size than its image.
    """
    path = results['seg_map_path']
    image = decode_image(read_bytes(path, backend_args), path)
    if image.mode not in modes:
        raise ImageReadError(
            path, f'expected labels in mode {", ".join(modes)}, got an image of mode {image.mode}'
        )
    height, width = results['ori_shape'][:2]
    if image.size != (width, height):
        raise ImageReadError(
            path,
            f'the labels are {image.width} x {image.height} pixels, their image '
            f'{results["img_path"]} {width} x {height}',
        )
    return np.asarray(image)
