"""Transforms of a data pipeline, from a file to the tensors of one sample."""

from .annotated_regions import AnnotatedRegions
from .crop_regions import CropRegions
from .crop_uncached_regions import CropUncachedRegions
from .load_rgb import LoadBGR, LoadRGB
from .load_segments import LoadSegments
from .pack_regions import PackRegions
from .resize_longest import ResizeLongest
from .resize_region_masks import ResizeRegionMasks
from .sample_regions import SampleRegions
from .square_crop import SquareCrop

__all__ = [
    'AnnotatedRegions',
    'CropRegions',
    'CropUncachedRegions',
    'LoadBGR',
    'LoadRGB',
    'LoadSegments',
    'PackRegions',
    'ResizeLongest',
    'ResizeRegionMasks',
    'SampleRegions',
    'SquareCrop',
]
