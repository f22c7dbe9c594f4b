"""Panoptic data set whose labels follow a vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from mmdet.datasets import CocoPanopticDataset
from mmengine.fileio import join_path
from mmengine.registry import DATASETS

from clipself_mm.datasets.annotations.boxes import annotated_area, check_box
from clipself_mm.datasets.annotations.coco_json import image_file_names
from clipself_mm.datasets.annotations.panoptic_json import log_segments, read_panoptic_json
from clipself_mm.datasets.image_files import CheckedImages
from clipself_mm.datasets.open_vocab_coco_dataset import vocabulary_metainfo

from .panoptic_vocabulary import find_panoptic_vocabulary


@DATASETS.register_module()
class OpenVocabPanopticDataset(CheckedImages, CocoPanopticDataset):
    """mmdet's `CocoPanopticDataset` with the classes of a vocabulary.

    Label i is class i of the vocabulary, things first; categories are matched by name. The id image
    is the `file_name` of an annotation. Images without annotation are ignored.

    Images are read by `LoadBGR`, see `CheckedImages`.

    Args:
        ann_file: COCO panoptic json.
        vocabulary: See `find_panoptic_vocabulary` (`coco_panoptic`, `shapes_ov_panoptic`,
            `ADE20KPanopticDataset`).
        ignore_unknown: Whether the json may have categories that are not in the vocabulary; their
            segments are void. Use it to hide novel things in training.
        metainfo: Further metainfo; it must agree with the vocabulary.
        **kwargs: As in mmdet's `CocoPanopticDataset`; `data_prefix` has `img` (images) and `seg`
            (id images).
    """

    METAINFO: ClassVar[dict] = {}

    def __init__(
        self,
        ann_file: str,
        vocabulary: str | Mapping,
        ignore_unknown: bool = False,
        metainfo: Mapping | None = None,
        **kwargs: object,
    ) -> None:
        self.vocabulary = find_panoptic_vocabulary(vocabulary)
        self.ignore_unknown = ignore_unknown
        metainfo = vocabulary_metainfo(self.vocabulary, metainfo)
        count = len(self.vocabulary.things)
        metainfo['thing_classes'] = self.vocabulary.classes[:count]
        metainfo['stuff_classes'] = self.vocabulary.classes[count:]
        super().__init__(ann_file=ann_file, metainfo=metainfo, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the annotation file.

        Returns:
            One dict per annotated image in mmdet's format, in the order of the annotations.

        Raises:
            FileNotFoundError: The file does not exist.
            ValueError: The file is broken or its categories do not match the vocabulary.
        """
        found = read_panoptic_json(
            self.ann_file, self.vocabulary, self.ignore_unknown, self.backend_args
        )
        log_segments(found, self.ann_file)
        self.cat2label = found.label_of
        self.cat_ids = sorted(found.label_of, key=found.label_of.__getitem__)
        names = image_file_names([image for image, _ in found.entries], self.ann_file)
        for (image, entry), name in zip(found.entries, names, strict=True):
            image['file_name'] = name
            for part in entry['segments_info']:
                box = check_box(part.get('bbox'), part['id'], self.ann_file)
                part['area'] = annotated_area(part) or box[2] * box[3]
        self.coco = self.COCOAPI()
        self.coco.dataset = found.content
        self.coco.createIndex()
        entries = [self._entry(image, entry) for image, entry in found.entries]
        data_list = [self.parse_data_info(entry) for entry in entries]
        del self.coco
        return data_list

    def _entry(self, image: dict, entry: dict) -> dict:
        if not (image.get('height') and image.get('width')):
            raise ValueError(f'{self.ann_file}: image {image["id"]} has no height and width')
        return dict(
            raw_img_info=dict(image, img_id=image['id']),
            raw_ann_info=entry['segments_info'],
            seg_file=entry['file_name'],
        )

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """Convert one image to mmdet's format.

        Args:
            raw_data_info: `raw_img_info`, an entry of `images`; `raw_ann_info`, its segments;
                `seg_file`, its id image.

        Returns:
            As in mmdet's `CocoPanopticDataset`, without segments outside of the vocabulary.
        """
        known = [
            part for part in raw_data_info['raw_ann_info'] if part['category_id'] in self.cat2label
        ]
        info = super().parse_data_info(dict(raw_data_info, raw_ann_info=known))
        if self.data_prefix.get('seg'):
            info['seg_map_path'] = join_path(self.data_prefix['seg'], raw_data_info['seg_file'])
        return info
