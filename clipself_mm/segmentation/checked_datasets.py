"""The data sets of mmseg that our configs use, with images read by `LoadBGR`."""

from __future__ import annotations

from mmengine.registry import DATASETS
from mmseg.datasets import ADE20KDataset, COCOStuffDataset, PascalContextDataset59

from clipself_mm.datasets.image_files import CheckedImages


@DATASETS.register_module()
class CheckedADE20KDataset(CheckedImages, ADE20KDataset):
    """mmseg's `ADE20KDataset`, 150 classes; see `CheckedImages`."""


@DATASETS.register_module()
class CheckedCOCOStuffDataset(CheckedImages, COCOStuffDataset):
    """mmseg's `COCOStuffDataset`, 171 classes; see `CheckedImages`."""


@DATASETS.register_module()
class CheckedPascalContextDataset59(CheckedImages, PascalContextDataset59):
    """mmseg's `PascalContextDataset59`; see `CheckedImages`."""
