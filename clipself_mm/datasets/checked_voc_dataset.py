"""VOC with images read by `LoadBGR`."""

from __future__ import annotations

from mmdet.datasets import VOCDataset
from mmengine.registry import DATASETS

from .image_files import CheckedImages


@DATASETS.register_module()
class CheckedVOCDataset(CheckedImages, VOCDataset):
    """mmdet's `VOCDataset`; see `CheckedImages`."""
