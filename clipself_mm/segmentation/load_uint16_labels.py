"""Read label maps of more than 255 classes."""

from __future__ import annotations

import numpy as np
from mmengine.registry import TRANSFORMS

from clipself_mm.datasets import ImageReadError

from .label_image import read_label_image

_MODES = ('L', 'I', 'I;16', 'I;16L', 'I;16B')


@TRANSFORMS.register_module()
class LoadUint16Labels:
    """Load `seg_map_path`, a picture of 8 or 16 bit (png, tif) whose values are labels.

    Like mmseg's `LoadAnnotations`, which cuts values to 8 bit. Adds `gt_seg_map`, int64 of shape
    (H, W). A sample without `seg_map_path`, an image to look at, passes.

    Args:
        num_classes: K; other values than 0..K-1 and `ignore_index` are refused.
        ignore_index: Value of the pixels that do not count; metric and data set need the same.
        backend_args: Arguments of MMEngine's file backend.

    Raises:
        ValueError: If `ignore_index` is the label of a class.
        ImageReadError: If the file is no gray picture of the photo's size, or has a value that is
            no label.
    """

    def __init__(
        self, num_classes: int, ignore_index: int = 65535, backend_args: dict | None = None
    ) -> None:
        if 0 <= ignore_index < num_classes:
            raise ValueError(f'ignore_index {ignore_index} is the label of one of {num_classes}')
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
                f'expected labels 0..{self.num_classes - 1} and {self.ignore_index} for what does '
                f'not count, found {int(wrong[0])}',
            )
        results['gt_seg_map'] = labels
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results
