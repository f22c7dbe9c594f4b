"""The transform that chooses which regions of an image are distilled."""

from __future__ import annotations

from mmengine.registry import TASK_UTILS, TRANSFORMS

from ..seeded_index import rng_from_key


@TRANSFORMS.register_module()
class SampleRegions:
    """Choose the regions of an image.

    Needs `ori_shape` (height, width) and `rng_key`. Adds `boxes_src` (boxes the student pools) and
    `crop_boxes_src` (boxes of the teacher's crops), both xyxy in source pixels, float64 of shape
    (R, 4). Random choices depend on `rng_key` only, not on the state of the process.

    If the sample has `labels`, they become those of the chosen regions. Then every region must be
    one of the sample's boxes: `ProposalRegions(fallback=False)`.

    Args:
        regions: Config of `GridRegions`, `ProposalRegions` or `MixedRegions` (registry
            TASK_UTILS).
    """

    def __init__(self, regions: dict) -> None:
        self.regions = TASK_UTILS.build(regions)
        self.reads_boxes = getattr(self.regions, 'reads_boxes', False)

    def __call__(self, results: dict) -> dict:
        """Choose the regions of one sample.

        Raises:
            ValueError: The sample has labels and `regions` may give boxes without one.
        """
        generator = rng_from_key(results['rng_key'])
        if 'labels' not in results:
            results['boxes_src'], results['crop_boxes_src'] = self.regions(results, generator)
            return results
        if getattr(self.regions, 'fallback', True):
            raise ValueError(
                f'{type(self.regions).__name__} gives regions without a label: labelled boxes need '
                "regions=dict(type='ProposalRegions', fallback=False)"
            )
        boxes_src, crop_boxes_src, chosen = self.regions.choose(results, generator)
        results.update(
            boxes_src=boxes_src, crop_boxes_src=crop_boxes_src, labels=results['labels'][chosen]
        )
        return results
