"""A tower whose dense feature is the mean colour of a patch, in place of a CLIP."""

import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import nn

from clipself_mm.clip.vision_tower import VisionTower
from clipself_mm.clip.weights.tower_source import TowerSource

PREPROCESSOR = dict(type='mmseg.SegDataPreProcessor', mean=[0, 0, 0], std=[255, 255, 255])


@MODELS.register_module(force=True)
class PatchColourTower(VisionTower):
    """Features (N, 3, h, w): the mean of each patch of 4 pixels, not normalised."""

    def __init__(self):
        super().__init__(
            nn.Identity(), width=3, dim=3, patch_size=4, image_size=8, mean=(0, 0, 0), std=(1, 1, 1)
        )
        self.source = TowerSource('stub', {})
        self.seen = []

    dense_path = 'mean'

    def encode_image(self, images):
        return images.mean((2, 3))

    def encode_dense(self, images):
        self.check_sides(images)
        self.seen.append(images)
        return F.avg_pool2d(images, self.patch_size)

    def stages(self, images, out_indices, with_dense=False):
        raise NotImplementedError
