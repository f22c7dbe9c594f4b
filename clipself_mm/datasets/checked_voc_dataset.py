"""VOC with pictures read by `LoadBGR`."""

from __future__ import annotations

from mmdet.datasets import VOCDataset
from mmengine.registry import DATASETS

from .pictures import CheckedPictures


@DATASETS.register_module()
class CheckedVOCDataset(CheckedPictures, VOCDataset):
    """mmdet's `VOCDataset`; see `CheckedPictures`."""
