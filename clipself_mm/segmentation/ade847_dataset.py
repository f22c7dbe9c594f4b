"""ADE20K-847: 847 classes of the full ADE20K."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from mmengine.registry import DATASETS
from mmseg.datasets import BaseSegDataset

from clipself_mm.datasets import load_vocabulary
from clipself_mm.datasets.image_files import CheckedImages

NUM_CLASSES = 847
IGNORE = 65535


@DATASETS.register_module()
class ADE847Dataset(CheckedImages, BaseSegDataset):
    """Images of the full ADE20K with the label maps of tools/convert_ade847.py.

    The converter also writes the class names, which are not part of the package. Labels are uint16
    (255 is a class): load them with `LoadUint16Labels`. 65535 is ignored; the metric needs
    `ignore_index=65535` too.

    Images are read by `LoadBGR`, see `CheckedImages`.

    Args:
        classes_file: Vocabulary of the 847 names.
        metainfo: Further metainfo, for example a `palette`.
        img_suffix: Suffix of image files.
        seg_map_suffix: Suffix of label maps; .tif for those of other converters.
        ignore_index: Label of ignored pixels.
        **kwargs: As in mmseg's `BaseSegDataset`.

    Raises:
        FileNotFoundError: `classes_file` does not exist.
        ValueError: `classes_file` does not list 847 classes.
    """

    METAINFO: ClassVar[dict] = {}

    def __init__(
        self,
        classes_file: str,
        metainfo: Mapping | None = None,
        img_suffix: str = '.jpg',
        seg_map_suffix: str = '.png',
        ignore_index: int = IGNORE,
        **kwargs: object,
    ) -> None:
        if not Path(classes_file).is_file():
            raise FileNotFoundError(
                f'{classes_file}: no such file; expected the names of the {NUM_CLASSES} classes, '
                'as written by tools/convert_ade847.py'
            )
        classes = load_vocabulary(classes_file).classes
        if len(classes) != NUM_CLASSES:
            raise ValueError(f'{classes_file}: expected {NUM_CLASSES} classes, got {len(classes)}')
        super().__init__(
            metainfo=dict(metainfo or {}, classes=classes),
            img_suffix=img_suffix,
            seg_map_suffix=seg_map_suffix,
            ignore_index=ignore_index,
            **kwargs,
        )
