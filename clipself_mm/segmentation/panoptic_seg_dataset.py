"""Semantic segmentation labels from a COCO panoptic json and its id images."""

from __future__ import annotations

from collections.abc import Mapping

from mmengine.fileio import join_path
from mmengine.registry import DATASETS
from mmseg.datasets import BaseSegDataset

from clipself_mm.datasets import load_vocabulary
from clipself_mm.datasets.annotations.coco_json import Key, image_file_name
from clipself_mm.datasets.annotations.panoptic_json import log_segments, read_panoptic_json
from clipself_mm.datasets.image_files import CheckedImages


@DATASETS.register_module()
class PanopticSegDataset(CheckedImages, BaseSegDataset):
    """Things and stuff of a panoptic data set as semantic classes.

    Label i is class i of the vocabulary; categories are matched by name. Crowd segments count like
    any other. A sample has `segment_labels` (segment id to label) for `LoadPanopticSemantic`.

    Images are read by `LoadBGR`, see `CheckedImages`.

    Args:
        ann_file: COCO panoptic json.
        vocabulary: Name or file of the vocabulary (`coco_panoptic`, `shapes_ov_panoptic`).
        ignore_unknown: Whether the json may have categories that are not in the vocabulary; their
            pixels are ignored.
        metainfo: Further metainfo, for example a `palette`.
        ignore_index: Label of ignored pixels.
        **kwargs: As in mmseg's `BaseSegDataset`; `data_prefix` has `img_path` (images) and
            `seg_map_path` (id images).

    Raises:
        ValueError: `ignore_index` is the label of a class.
    """

    def __init__(
        self,
        ann_file: str,
        vocabulary: str = 'coco_panoptic',
        ignore_unknown: bool = False,
        metainfo: Mapping | None = None,
        ignore_index: int = 255,
        **kwargs: object,
    ) -> None:
        self.vocabulary = load_vocabulary(vocabulary)
        self.ignore_unknown = ignore_unknown
        count = len(self.vocabulary.classes)
        if 0 <= ignore_index < count:
            raise ValueError(
                f'ignore_index {ignore_index} is the label of a class of vocabulary '
                f'{self.vocabulary.name} ({count} classes): set a larger ignore_index, for example '
                '65535, in the data set and in the metric'
            )
        metainfo = dict(metainfo or {}, classes=self.vocabulary.classes)
        super().__init__(ann_file=ann_file, metainfo=metainfo, ignore_index=ignore_index, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the annotation file.

        Returns:
            One dict per annotated image, in the order of the annotations.

        Raises:
            FileNotFoundError: The file does not exist.
            ValueError: The file is broken or its categories do not match the vocabulary.
        """
        found = read_panoptic_json(
            self.ann_file, self.vocabulary, self.ignore_unknown, self.backend_args
        )
        log_segments(found, self.ann_file)
        return [self._sample(image, entry, found.label_of) for image, entry in found.entries]

    def _sample(self, image: dict, entry: dict, label_of: dict[Key, int]) -> dict:
        """The entry of one image."""
        folders = {key: self.data_prefix.get(key) or '' for key in ('img_path', 'seg_map_path')}
        return dict(
            img_path=join_path(folders['img_path'], image_file_name(image, self.ann_file)),
            seg_map_path=join_path(folders['seg_map_path'], entry['file_name']),
            segment_labels={
                int(part['id']): label_of.get(part['category_id'], self.ignore_index)
                for part in entry['segments_info']
            },
            ignore_index=self.ignore_index,
            label_map=self.label_map,
            reduce_zero_label=self.reduce_zero_label,
            seg_fields=[],
        )
