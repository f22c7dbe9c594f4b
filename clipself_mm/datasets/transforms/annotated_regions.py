"""All annotated boxes as regions, without random choices."""

from __future__ import annotations

import numpy as np
from mmengine.registry import TRANSFORMS

from ..regions.proposal_regions import proposal_boxes, proposal_crop_boxes, valid_boxes


@TRANSFORMS.register_module()
class AnnotatedRegions:
    """Use the annotated boxes of a sample as its regions, in the order of the file.

    Of the first `max_regions` boxes, those with an area in [`min_size`^2, `max_size`^2] are kept
    (official implementation). The crop of a thing is its box enlarged by `crop_scale`; the crop of
    stuff is its box. Adds `boxes_src` and `crop_boxes_src` like `SampleRegions`, and selects the
    entries of `labels`, `is_thing` and `segment_ids` of these boxes.

    Args:
        min_size: Side of the smallest square allowed, in source pixels.
        max_size: Side of the largest square allowed, in source pixels.
        max_regions: Largest number of boxes considered.
        crop_scale: Size of the crop of a thing relative to its box.
    """

    reads_boxes = True

    def __init__(
        self,
        min_size: float = 8,
        max_size: float = 1024,
        max_regions: int = 100,
        crop_scale: float = 1.5,
    ) -> None:
        self.min_size = min_size
        self.max_size = max_size
        self.max_regions = max_regions
        self.crop_scale = crop_scale

    def __call__(self, results: dict) -> dict:
        """Select the regions of one sample."""
        height, width = results['ori_shape']
        valid = valid_boxes(results['boxes_xywh'], self.min_size, self.max_size, height, width)
        kept = np.flatnonzero(valid[: self.max_regions])
        boxes_xywh = results['boxes_xywh'][kept]
        for key in ('labels', 'is_thing', 'segment_ids'):
            if key in results:
                results[key] = np.asarray(results[key])[kept]
        scale = np.where(results['is_thing'], self.crop_scale, 1.0)[:, None]
        results['boxes_src'] = proposal_boxes(boxes_xywh)
        results['crop_boxes_src'] = proposal_crop_boxes(boxes_xywh, scale, height, width)
        return results
