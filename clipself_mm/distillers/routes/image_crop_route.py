"""Regions cut out and encoded as images: the teacher's view."""

from collections.abc import Sequence

import torch
from mmengine.registry import TASK_UTILS
from torch import Tensor

from clipself_mm.clip import VisionTower
from clipself_mm.datasets import RegionSample

from .region_route import RegionRoute


@TASK_UTILS.register_module()
class ImageCropRoute(RegionRoute):
    """Image embeddings of the regions' crops (paper, Table A1, row 1).

    Gives ``crops`` where the pipeline cuts them (``CropRegions``).

    Args:
        crop_batch: Crops encoded at a time.
    """

    def __init__(self, crop_batch: int = 128) -> None:
        self.crop_batch = crop_batch

    def features(
        self, tower: VisionTower, images: Tensor, crops: Tensor, samples: Sequence[RegionSample]
    ) -> dict[str, Tensor]:
        """Encode the crops (see ``RegionRoute``).

        Raises:
            ValueError: There are crops, but not one for each region.
        """
        regions = sum(len(sample.regions) for sample in samples)
        if len(crops) not in (0, regions):
            raise ValueError(f'got {len(crops)} crops of {regions} regions')
        if not len(crops):
            return {}
        encoded = [tower.encode_image(part) for part in crops.split(self.crop_batch)]
        return {'crops': torch.cat(encoded)}
