"""The control of object regions: boxes of the same number and sizes at random places."""

from __future__ import annotations

import numpy as np
from mmengine.registry import TASK_UTILS

from clipself_mm.datasets.regions import ProposalRegions


@TASK_UTILS.register_module()
class MovedProposalRegions(ProposalRegions):
    """`ProposalRegions` whose boxes are put at a random place of their image each time.

    What it trains owes nothing to where objects are, only to sizes, numbers and crops.
    """

    def __call__(
        self, results: dict, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Move the boxes, then choose as `ProposalRegions` does."""
        height, width = results['ori_shape']
        boxes_xywh = np.array(results['boxes_xywh'], float)
        free = np.maximum([width, height] - boxes_xywh[:, 2:], 0)
        boxes_xywh[:, :2] = free * generator.uniform(size=free.shape)
        return super().__call__({**results, 'boxes_xywh': boxes_xywh}, generator)
