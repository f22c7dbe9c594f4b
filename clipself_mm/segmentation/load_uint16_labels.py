"""Load label maps with more than 255 classes."""

from __future__ import annotations

import numpy as np
from mmengine.registry import TRANSFORMS

from clipself_mm.datasets import ImageReadError

from .label_image import read_label_image

_MODES = ('L', 'I', 'I;16', 'I;16L', 'I;16B')


@TRANSFORMS.register_module()
class LoadUint16Labels:
    """Load the 8- or 16-bit label image (png, tif) `seg_map_path`.

    mmseg's `LoadAnnotations` truncates labels to 8 bits. Adds `gt_seg_map`, int64 of shape (H, W).
    A sample without `seg_map_path` (inference on an image) is returned unchanged.

    Args:
        num_classes: K; labels are 0..K-1 or `ignore_index`.
        ignore_index: Label of ignored pixels; metric and data set need the same.
        backend_args: Arguments of MMEngine's file backend.

    Raises:
        ValueError: `ignore_index` is the label of a class.
        ImageReadError: The file is not a grey image of the image's size, or has a value that is not
            a label.
    """

    def __init__(
        self, num_classes: int, ignore_index: int = 65535, backend_args: dict | None = None
    ) -> None:
        if 0 <= ignore_index < num_classes:
            raise ValueError(
                f'ignore_index {ignore_index} is the label of one of the {num_classes} classes: '
                'set it to a larger value'
            )
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.backend_args = backend_args

    def __call__(self, results: dict) -> dict:
        """Load the labels of one sample."""
        path = results.get('seg_map_path')
        if path is None:
            return results
        labels = read_label_image(results, _MODES, self.backend_args).astype(np.int64)
        wrong = labels[(labels >= self.num_classes) & (labels != self.ignore_index)]
        if wrong.size:
            raise ImageReadError(
                path,
                f'expected labels 0..{self.num_classes - 1} or ignore_index {self.ignore_index}, '
                f'found {int(wrong[0])}',
            )
        results['gt_seg_map'] = labels
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results
