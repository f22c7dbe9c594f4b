"""Load a panoptic id image as a semantic label map."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mmengine.registry import TRANSFORMS

from clipself_mm.datasets import ImageReadError
from clipself_mm.datasets.transforms.load_segments import segment_ids_of

from .label_image import read_label_image

_VOID = 0
"""Segment id of unlabelled pixels in COCO's panoptic format."""


def labels_of(segment_map: np.ndarray, labels: Mapping[int, int], ignore_index: int) -> np.ndarray:
    """Replace segment ids by the labels of their segments.

    Args:
        segment_map: Segment ids, integers of shape (H, W); 0 is void.
        labels: Segment id to label.
        ignore_index: Label of void.

    Returns:
        Labels, int64 of shape (H, W).

    Raises:
        ValueError: A segment id has no label.
    """
    ids, place = np.unique(segment_map, return_inverse=True)
    known = {_VOID: ignore_index, **labels}
    unknown = [int(number) for number in ids if int(number) not in known]
    if unknown:
        raise ValueError(
            f'found pixels of segments {unknown[:5]}, which are not among the {len(labels)} '
            'segments of the json'
        )
    table = np.array([known[int(number)] for number in ids], np.int64)
    return table[place.reshape(segment_map.shape)]


@TRANSFORMS.register_module()
class LoadPanopticSemantic:
    """Load the id image `seg_map_path` of a `PanopticSegDataset` sample.

    Adds `gt_seg_map`, int64 of the original image's shape (H, W). Put it after loading of the
    image, and in test pipelines after `Resize`, since metrics compare at the original size. A
    sample without `seg_map_path` (inference on an image) is returned unchanged.

    Args:
        backend_args: Arguments of MMEngine's file backend.

    Raises:
        ImageReadError: The file is not an RGB image of the image's size, or has a segment that the
            json does not list.
    """

    def __init__(self, backend_args: dict | None = None) -> None:
        self.backend_args = backend_args

    def __call__(self, results: dict) -> dict:
        """Load the labels of one sample."""
        path = results.get('seg_map_path')
        if path is None:
            return results
        pixels = read_label_image(results, ('RGB', 'RGBA'), self.backend_args)
        segment_map = segment_ids_of(pixels[..., :3])
        try:
            labels = labels_of(segment_map, results['segment_labels'], results['ignore_index'])
        except ValueError as error:
            raise ImageReadError(path, str(error)) from error
        results['gt_seg_map'] = labels
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results
