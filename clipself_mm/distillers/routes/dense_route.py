"""Regions pooled out of the dense map: the route that CLIPSelf refines."""

from collections.abc import Sequence

from mmengine.registry import TASK_UTILS
from torch import Tensor

from clipself_mm.clip import VisionTower, mask_pool, roi_pool
from clipself_mm.datasets import RegionSample

from .region_route import RegionRoute


@TASK_UTILS.register_module()
class DenseRoute(RegionRoute):
    """One dense map an image, pooled over its regions (paper, section 4.2; Table A1, rows 2 and 4).

    Gives ``boxes``, by RoIAlign, and where the samples have masks ``masks``, by the mask-weighted
    mean.
    """

    def features(
        self, tower: VisionTower, images: Tensor, crops: Tensor, samples: Sequence[RegionSample]
    ) -> dict[str, Tensor]:
        """Pool the regions (see ``RegionRoute``)."""
        dense = tower.encode_dense(images)
        boxes_px = [sample.regions.boxes_px for sample in samples]
        found = {'boxes': roi_pool(dense, boxes_px, tower.patch_size)}
        if all('masks' in sample.regions for sample in samples):
            found['masks'] = mask_pool(dense, [sample.regions.masks for sample in samples])
        return found
