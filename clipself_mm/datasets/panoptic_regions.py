"""Annotated things and stuff with their segments, for region classification (paper, Table 2)."""

from __future__ import annotations

from typing import Any

from mmengine.fileio import join_path
from mmengine.registry import DATASETS

from .annotations.boxes import OTHER_CLASS, check_box
from .annotations.coco_json import Key, image_file_names
from .annotations.panoptic_json import read_panoptic_json
from .box_regions import BoxRegions


@DATASETS.register_module()
class PanopticRegions(BoxRegions):
    """Images of a COCO panoptic json with their segments.

    A sample starts with the keys of `BoxRegions`, `seg_map_path` (the id image) and `segment_ids`
    (ids of its regions in that image). `boxes_xywh` of stuff is the annotated box until
    `LoadSegments` measures the segment. Crowd segments are kept, as in the official implementation.
    An image without an annotation is left out.

    Args:
        ann_file: COCO panoptic json.
        data_prefix: `img`: folder of the images; `seg`: folder of the id images.
        vocabulary: Name or file of the vocabulary; categories are matched by name.
        **kwargs: As in `BoxRegions`.
    """

    def __init__(
        self,
        ann_file: str,
        data_prefix: dict | None = None,
        vocabulary: str = 'coco_panoptic',
        **kwargs: Any,
    ) -> None:
        prefix = dict(dict(img='', seg=''), **(data_prefix or {}))
        super().__init__(ann_file=ann_file, vocabulary=vocabulary, data_prefix=prefix, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the annotation file.

        Returns:
            One dict per annotated image, in the order of the annotations.

        Raises:
            ValueError: The file is broken or contradicts the vocabulary.
        """
        found = read_panoptic_json(
            self.ann_file, self.vocabulary, self.ignore_unknown, self.backend_args
        )
        image_file_names([image for image, _ in found.entries], self.ann_file)
        infos = [self._image(image, entry, found.label_of) for image, entry in found.entries]
        self.report(infos)
        return infos

    def _image(self, image: dict, entry: dict, label_of: dict[Key, int]) -> dict:
        """Return the data info of one image."""
        segments = [part for part in entry['segments_info'] if part['category_id'] in label_of]
        boxes = [check_box(part.get('bbox'), part['id'], self.ann_file) for part in segments]
        for part, box in zip(segments, boxes, strict=True):
            self.box_counts.judge(part, box, image, crowds=True)
            self.box_counts.extend(image, box)
        for _ in range(len(entry['segments_info']) - len(segments)):
            self.box_counts.add(OTHER_CLASS)
        labels = [label_of[part['category_id']] for part in segments]
        return dict(
            self.image_info(image),
            **self._regions(list(zip(boxes, labels, strict=True))),
            segment_ids=[int(part['id']) for part in segments],
            seg_map_path=join_path(self.data_prefix['seg'], entry['file_name']),
        )
