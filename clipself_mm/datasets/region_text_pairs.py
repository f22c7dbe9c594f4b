"""Boxes with one noun each: the training data of the region-text baseline (paper, section 4.4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmengine.registry import DATASETS

from .annotations.boxes import BoxCounts, read_boxes
from .annotations.categories import category_labels
from .annotations.coco_json import Key, image_file_names, load_instances
from .annotations.nouns import load_nouns, vocabulary_of_categories
from .image_regions import ImageRegions


@DATASETS.register_module()
class RegionTextPairs(ImageRegions):
    """Images of a COCO-style json in which the category of a box is its noun.

    A sample starts with the keys of `ImageRegions` and the `labels` (int64, (R)) of its
    `boxes_xywh`. `SampleRegions` chooses from them with `ProposalRegions(fallback=False)`, because
    the fallback region has no noun.

    Args:
        ann_file: COCO-style json with `images`, `annotations` (`bbox`, `category_id`) and
            `categories`.
        vocabulary: The nouns, see `load_nouns`; categories are matched by name. None takes the
            categories of `ann_file`: label i is the category with the i-th smallest id.
        drop_empty: Leave out images without a box.
        **kwargs: As in `ImageRegions`.
    """

    def __init__(
        self,
        ann_file: str,
        vocabulary: str | None = None,
        drop_empty: bool = True,
        **kwargs: Any,
    ) -> None:
        self.vocabulary = None if vocabulary is None else load_nouns(vocabulary)
        self.drop_empty = drop_empty
        super().__init__(ann_file=ann_file, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the annotation file and set `metainfo['classes']` to the nouns.

        Returns:
            One dict per image, in the order of the file.

        Raises:
            ValueError: The file is broken, contradicts the vocabulary, uses a category that it does
                not list, or has no image with a box.
        """
        content = load_instances(self.ann_file, self.backend_args)
        if self.vocabulary is None:
            self.vocabulary = vocabulary_of_categories(content['categories'], self.ann_file)
        self._metainfo.update(classes=self.vocabulary.classes)
        label_of = category_labels(content['categories'], self.vocabulary, self.ann_file)
        pairs = self._pairs_by_image(content, label_of)
        image_file_names(content['images'], self.ann_file)
        images = [
            dict(self.image_info(image), **_regions(pairs.get(image['id'], [])))
            for image in content['images']
            if not self.drop_empty or image['id'] in pairs
        ]
        if not images:
            count = len(content['images'])
            raise ValueError(f'{self.ann_file}: none of its {count} images has a box')
        self.report(images)
        return images

    def _pairs_by_image(
        self, content: dict, label_of: dict[Key, int]
    ) -> dict[Key, list[tuple[list[float], int]]]:
        """Image id to its (box, label) pairs in the order of the file."""
        pairs: dict[Key, list[tuple[list[float], int]]] = {}
        self.box_counts = BoxCounts(self.ann_file)
        for annotation, box, label, _ in read_boxes(
            content, self.box_counts, label_of, min_side=1, crowds=True
        ):
            pairs.setdefault(annotation['image_id'], []).append((box, label))
        return pairs


def _regions(pairs: list[tuple[list[float], int]]) -> dict[str, np.ndarray]:
    """`boxes_xywh` and `labels` of one image."""
    return dict(
        boxes_xywh=np.array([box for box, _ in pairs], np.float64).reshape(-1, 4),
        labels=np.array([label for _, label in pairs], np.int64),
    )
