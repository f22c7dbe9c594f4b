"""Ways from an image and its regions to one feature a region (paper, Table A1)."""

from .dense_route import DenseRoute
from .image_crop_route import ImageCropRoute
from .masked_attention_route import MaskedAttentionRoute
from .region_route import RegionRoute

__all__ = ['DenseRoute', 'ImageCropRoute', 'MaskedAttentionRoute', 'RegionRoute']
