"""Annotated boxes with their classes, for region classification (paper, Table 1)."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmengine.registry import DATASETS

from .annotations.boxes import CROWD, IGNORED, OTHER_CLASS, BoxCounts, read_boxes
from .annotations.categories import category_labels
from .annotations.coco_json import Key, image_file_names, load_instances
from .annotations.vocabulary import load_vocabulary
from .image_regions import ImageRegions


@DATASETS.register_module()
class BoxRegions(ImageRegions):
    """Images of a COCO instances json with labelled boxes.

    A sample starts with the keys of `ImageRegions`, and `labels` (int64, (R)) and `is_thing` (bool,
    (R)) of its `boxes_xywh`. Crowd boxes are left out: they show no single object.

    Args:
        ann_file: COCO instances json.
        vocabulary: Name or file of the vocabulary; categories are matched by name.
        ignore_unknown: Leave out boxes of categories that are not in the vocabulary (default: an
            error).
        **kwargs: As in `ImageRegions`.
    """

    labelled = True

    def __init__(
        self,
        ann_file: str,
        vocabulary: str,
        ignore_unknown: bool = False,
        **kwargs: Any,
    ) -> None:
        self.vocabulary = load_vocabulary(vocabulary)
        self.ignore_unknown = ignore_unknown
        things = set(self.vocabulary.things)
        self._thing_labels = [
            label for label, name in enumerate(self.vocabulary.classes) if name in things
        ]
        super().__init__(ann_file=ann_file, **kwargs)
        self._metainfo.update(classes=self.vocabulary.classes, things=self.vocabulary.things)

    def load_data_list(self) -> list[dict]:
        """Read the annotation file.

        Returns:
            One dict per image, in the order of the file.

        Raises:
            ValueError: The file is broken or contradicts the vocabulary.
        """
        content = load_instances(self.ann_file, self.backend_args)
        label_of = category_labels(
            content['categories'], self.vocabulary, self.ann_file, self.ignore_unknown
        )
        self.box_counts = BoxCounts(self.ann_file)
        collected: dict[Key, list[tuple[list, int]]] = {}
        for annotation, box, label, reason in read_boxes(
            content, self.box_counts, label_of, self.vocabulary.classes, min_side=1
        ):
            # Boxes that are too small or outside are left to the area limits of the pipeline.
            if reason not in (OTHER_CLASS, CROWD, IGNORED):
                collected.setdefault(annotation['image_id'], []).append((box, label))
        image_file_names(content['images'], self.ann_file)
        infos = [
            dict(self.image_info(image), **self._regions(collected.get(image['id'], [])))
            for image in content['images']
        ]
        self.report(infos)
        return infos

    def _regions(self, annotated: list[tuple[list, int]]) -> dict:
        """Return boxes, labels and is_thing of one image's (box, label) pairs."""
        labels = np.array([label for _, label in annotated], np.int64)
        return dict(
            boxes_xywh=np.array([box for box, _ in annotated], np.float64).reshape(-1, 4),
            labels=labels,
            is_thing=np.isin(labels, self._thing_labels),
        )
