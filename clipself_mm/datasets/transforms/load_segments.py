"""Read a panoptic id image and compute the boxes of its stuff segments."""

from __future__ import annotations

import numpy as np
from mmengine.registry import TRANSFORMS

from ..image_files.reading import decode_image, read_bytes
from ..structures import ImageReadError


def segment_ids_of(colours: np.ndarray) -> np.ndarray:
    """Decode the colours of a panoptic PNG.

    Args:
        colours: uint8 RGB of shape (H, W, 3).

    Returns:
        Segment id R + 256 G + 65536 B per pixel, int32 of shape (H, W).
    """
    colours = colours.astype(np.int32)
    return colours[..., 0] + 256 * colours[..., 1] + 65536 * colours[..., 2]


def segment_extent(mask: np.ndarray) -> np.ndarray:
    """Return the box of a segment, without its last row and column (official implementation).

    Args:
        mask: Booleans of shape (H, W), at least one of them true.

    Returns:
        Box x, y, width, height in pixels, float64 of shape (4). A segment in one row or column
        has no area.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    x, y = columns[0], rows[0]
    return np.array([x, y, columns[-1] - x, rows[-1] - y], np.float64)


@TRANSFORMS.register_module()
class LoadSegments:
    """Load the id image `seg_map_path` of a `PanopticRegions` sample.

    Adds `segment_map` (segment ids, int32 of shape (H, W) in source pixels) and replaces the boxes
    of stuff by `segment_extent`. Comes after `LoadRGB`.

    Args:
        backend_args: Arguments of MMEngine's file backend.

    Raises:
        ImageReadError: The file is not an RGB image of the source's size, or a stuff segment has no
            pixel.
    """

    def __init__(self, backend_args: dict | None = None) -> None:
        self.backend_args = backend_args

    def __call__(self, results: dict) -> dict:
        """Load the segments of one sample."""
        path = results['seg_map_path']
        image = decode_image(read_bytes(path, self.backend_args), path)
        if image.mode not in ('RGB', 'RGBA'):
            raise ImageReadError(path, f'expected an id image in RGB, got mode {image.mode}')
        if (image.height, image.width) != tuple(results['ori_shape']):
            height, width = results['ori_shape']
            raise ImageReadError(
                path,
                f'the id image is {image.width} x {image.height} pixels, '
                f'its source image {results["img_path"]} {width} x {height}',
            )
        segment_map = segment_ids_of(np.asarray(image)[..., :3])
        boxes_xywh = results['boxes_xywh'].copy()
        for index in np.flatnonzero(~results['is_thing']):
            mask = segment_map == results['segment_ids'][index]
            if not mask.any():
                raise ImageReadError(
                    path, f'segment {results["segment_ids"][index]} of the json has no pixel'
                )
            boxes_xywh[index] = segment_extent(mask)
        results['segment_map'] = segment_map
        results['boxes_xywh'] = boxes_xywh
        return results
