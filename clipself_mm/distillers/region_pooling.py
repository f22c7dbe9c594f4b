"""How the student's features of regions are pooled from its dense map, as registered modules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from mmengine.registry import TASK_UTILS
from torch import Tensor

from clipself_mm.clip import roi_pool, similarity_pool


class RegionPooling(ABC):
    """Pools one feature per box; training only, evaluation and detectors use RoIAlign."""

    @abstractmethod
    def __call__(
        self, dense: Tensor, boxes_px: Sequence[Tensor], targets: Tensor, patch_size: int
    ) -> Tensor:
        """Pool the regions of a batch.

        Args:
            dense: The student's dense maps, shape (N, D, h, w).
            boxes_px: Boxes per image, xyxy in pixels of its input, shape (R_i, 4).
            targets: The teacher's embeddings of their crops, shape (sum of R_i, D).
            patch_size: Side of a token in pixels.

        Returns:
            Shape (sum of R_i, D), images in order.
        """


@TASK_UTILS.register_module()
class RoIAlignPooling(RegionPooling):
    """RoIAlign of size 1 x 1 (paper, section 3.2)."""

    def __call__(
        self, dense: Tensor, boxes_px: Sequence[Tensor], targets: Tensor, patch_size: int
    ) -> Tensor:
        """Pool the regions (see ``RegionPooling``)."""
        return roi_pool(dense, boxes_px, patch_size)


@TASK_UTILS.register_module()
class SimilarityPooling(RegionPooling):
    """Mean of a box's tokens, weighted by their similarity to the crop (``similarity_pool``).

    The second form of DeCLIP (arXiv 2508.11256) pools so, by a third party's note; its temperature
    is not known here. Tokens of the background count less in a box around an object.

    Args:
        temperature: Divisor of the cosines, above 0.
    """

    def __init__(self, temperature: float = 0.1) -> None:
        if temperature <= 0:
            raise ValueError(f'temperature must be above 0, got {temperature}')
        self.temperature = temperature

    def __call__(
        self, dense: Tensor, boxes_px: Sequence[Tensor], targets: Tensor, patch_size: int
    ) -> Tensor:
        """Pool the regions (see ``RegionPooling``)."""
        return similarity_pool(dense, boxes_px, targets, patch_size, self.temperature)
