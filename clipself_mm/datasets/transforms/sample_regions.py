"""The step of a pipeline that decides which regions of an image are distilled."""

from __future__ import annotations

from mmengine.registry import TASK_UTILS, TRANSFORMS

from ..seeded_index import generator_of


@TRANSFORMS.register_module()
class SampleRegions:
    """Draw the regions of an image with a region sampler.

    Needs `ori_shape` (height, width) and `draw`. Adds `boxes_src`, what the student pools, and
    `crop_boxes_src`, what the teacher sees: xyxy in pixels of the source image, float64 of shape
    (R, 4). All random choices come from the sample's draw, none from the state of the process.

    `labels` of a sample's boxes, where it has them, become those of the regions drawn, which takes
    a sampler that draws from these boxes alone: `ProposalRegions(fallback=False)`.

    Args:
        sampler: Config of a region sampler in the registry TASK_UTILS, `GridRegions` or
            `ProposalRegions`.
    """

    def __init__(self, sampler: dict) -> None:
        self.sampler = TASK_UTILS.build(sampler)

    def __call__(self, results: dict) -> dict:
        """Draw the regions of one sample.

        Raises:
            ValueError: The sample has labels and the sampler makes up regions of its own.
        """
        generator = generator_of(results['draw'])
        if 'labels' not in results:
            results['boxes_src'], results['crop_boxes_src'] = self.sampler(results, generator)
            return results
        if getattr(self.sampler, 'fallback', True):
            raise ValueError(
                f'{type(self.sampler).__name__} makes up regions, which have no label: labelled '
                "boxes need dict(type='ProposalRegions', fallback=False)"
            )
        boxes_src, crop_boxes_src, drawn = self.sampler.draw(results, generator)
        results.update(
            boxes_src=boxes_src, crop_boxes_src=crop_boxes_src, labels=results['labels'][drawn]
        )
        return results
