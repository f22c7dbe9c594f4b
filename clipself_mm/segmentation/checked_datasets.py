"""The data sets of mmseg that our configs use, with pictures read by `LoadBGR`."""

from __future__ import annotations

from mmengine.registry import DATASETS
from mmseg.datasets import ADE20KDataset, COCOStuffDataset, PascalContextDataset59

from clipself_mm.datasets.pictures import CheckedPictures


@DATASETS.register_module()
class CheckedADE20KDataset(CheckedPictures, ADE20KDataset):
    """mmseg's `ADE20KDataset`, 150 classes; see `CheckedPictures`."""


@DATASETS.register_module()
class CheckedCOCOStuffDataset(CheckedPictures, COCOStuffDataset):
    """mmseg's `COCOStuffDataset`, 171 classes; see `CheckedPictures`."""


@DATASETS.register_module()
class CheckedPascalContextDataset59(CheckedPictures, PascalContextDataset59):
    """mmseg's `PascalContextDataset59`; see `CheckedPictures`."""
