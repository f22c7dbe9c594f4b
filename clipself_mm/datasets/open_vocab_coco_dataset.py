"""Detection data in COCO's or LVIS's format whose labels follow a vocabulary."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import ClassVar

from mmdet.datasets import CocoDataset
from mmengine.registry import DATASETS

from .annotations.categories import base_complete_labels, keep_base
from .annotations.coco_json import image_file_name, load_coco_json
from .annotations.vocabulary import Vocabulary, load_vocabulary

NOVEL_COLOUR = (220, 38, 38)
"""RGB red, as in the paper's Figure A2."""
BASE_COLOUR = (37, 99, 235)
"""RGB blue."""


def vocabulary_metainfo(vocabulary: Vocabulary, metainfo: Mapping | None = None) -> dict:
    """What mm visualizers, metrics and heads read of a data set.

    Args:
        vocabulary: The vocabulary.
        metainfo: More entries, for example a `palette`.

    Returns:
        `classes`, `base_classes` and `novel_classes` (tuples, the latter two empty without a
        split), `palette` (one colour a class, novel red and base blue; absent without a split,
        mmdet then draws random ones), `aliases` if there are any, and the entries handed over.

    Raises:
        ValueError: If an entry contradicts the vocabulary.
    """
    metainfo = dict(metainfo or {})
    own = dict(
        classes=vocabulary.classes, base_classes=vocabulary.base, novel_classes=vocabulary.novel
    )
    for key, names in own.items():
        if key in metainfo and tuple(metainfo[key]) != names:
            raise ValueError(
                f'metainfo gives {len(metainfo[key])} {key}, {list(metainfo[key])[:3]}..., which '
                f'differ in names or order from the {len(names)} of vocabulary {vocabulary.name}: '
                'leave them out, the vocabulary says them'
            )
    if vocabulary.novel:
        novel = set(vocabulary.novel)
        own['palette'] = [
            NOVEL_COLOUR if name in novel else BASE_COLOUR for name in vocabulary.classes
        ]
    if vocabulary.aliases:
        own['aliases'] = vocabulary.aliases
    return {**own, **metainfo}


@DATASETS.register_module()
class OpenVocabCocoDataset(CocoDataset):
    """mmdet's `CocoDataset` with the classes and the split of a vocabulary.

    Label i is class i of the vocabulary, in whatever order the json lists its categories: they
    are matched by name. Categories outside the vocabulary are passed over; the json may lack
    novel classes. LVIS images, which have `coco_url` in place of `file_name`, are found by its
    last two parts (`train2017/000000000009.jpg`). `cat_ids` holds the category ids of those
    classes that the json has, in the order of the vocabulary.

    The standard `instances_train2017.json` or `lvis_v1_train.json` serves for training with
    `base_only=True` and `filter_cfg=dict(filter_empty_gt=True)`, which drops the images without
    a base box. The published OV-COCO numbers count the 4,836 images of val2017 that have a box of
    the 65 classes: `annotated_only=True`, since mmdet passes over `filter_cfg` in test mode.

    With `test_mode=True` the metainfo names the json (`ann_file`), so that the metrics of this
    package need not be told. mmengine's `ConcatDataset` of two such takes
    `ignore_keys=['ann_file']`, its evaluator the `ann_file` of a json of both.

    Args:
        ann_file: COCO instances json or LVIS json.
        vocabulary: Name or file of the vocabulary (`ov_coco`, `ov_lvis`, `coco`, ...).
        base_only: Leave out the boxes of novel classes.
        annotated_only: Leave out the images without a box of the vocabulary, in test mode too.
        metainfo: More meta information; it may not contradict the vocabulary.
        **kwargs: As in mmdet's `CocoDataset`.

    Raises:
        ValueError: If `base_only` meets a vocabulary without a split, or metainfo contradicts it.
    """

    METAINFO: ClassVar[dict] = {}

    def __init__(
        self,
        ann_file: str,
        vocabulary: str,
        base_only: bool = False,
        annotated_only: bool = False,
        metainfo: Mapping | None = None,
        **kwargs: object,
    ) -> None:
        self.vocabulary = load_vocabulary(vocabulary)
        if base_only and not self.vocabulary.base:
            raise ValueError(
                f'base_only needs a split, vocabulary {self.vocabulary.name} has no base classes'
            )
        self.base_only = base_only
        self.annotated_only = annotated_only
        metainfo = vocabulary_metainfo(self.vocabulary, metainfo)
        super().__init__(ann_file=ann_file, metainfo=metainfo, **kwargs)
        if self.test_mode:
            self._metainfo.update(ann_file=self.ann_file)

    def load_data_list(self) -> list[dict]:
        """Read the annotation file.

        Returns:
            One dict per image as mmdet's, in the order of the file.

        Raises:
            FileNotFoundError: If the file does not exist.
            ValueError: If it is broken or lacks a class or a key it should have; names the file.
        """
        keys = ('images', 'annotations', 'categories')
        content = load_coco_json(self.ann_file, keys, self.backend_args)
        for annotation in content['annotations']:
            lacking = {'image_id', 'category_id', 'bbox', 'area'} - annotation.keys()
            if lacking:
                raise ValueError(
                    f'{self.ann_file}: annotation {annotation.get("id")} lacks {sorted(lacking)}'
                )
        self.cat2label = base_complete_labels(content['categories'], self.vocabulary, self.ann_file)
        self.cat_ids = sorted(self.cat2label, key=self.cat2label.get)
        if self.base_only:
            content = keep_base(content, self.vocabulary, self.ann_file)
        self.cat_img_map = defaultdict(list)
        annotations_of = defaultdict(list)
        for annotation in content['annotations']:
            if annotation['category_id'] in self.cat2label:
                self.cat_img_map[annotation['category_id']].append(annotation['image_id'])
                annotations_of[annotation['image_id']].append(annotation)
        return [
            self.parse_data_info(dict(raw_img_info=image, raw_ann_info=annotations_of[image['id']]))
            for image in content['images']
        ]

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """Bring one image into mmdet's format.

        Args:
            raw_data_info: `raw_img_info`, an entry of `images`, and `raw_ann_info`, its
                annotations.

        Returns:
            As mmdet's `CocoDataset`.

        Raises:
            ValueError: If the image has no size or no file name; names the file.
        """
        image = raw_data_info['raw_img_info']
        if not (image.get('height') and image.get('width')):
            raise ValueError(f'{self.ann_file}: image {image["id"]} has no height and width')
        image = dict(image, img_id=image['id'], file_name=image_file_name(image, self.ann_file))
        return super().parse_data_info(dict(raw_data_info, raw_img_info=image))

    def filter_data(self) -> list[dict]:
        """Drop images as `filter_cfg` (in training) and `annotated_only` say.

        Returns:
            The images that stay.

        Raises:
            ValueError: If none does; names the file.
        """
        kept = super().filter_data()
        if self.annotated_only:
            annotated = {key for cat_id in self.cat_ids for key in self.cat_img_map[cat_id]}
            kept = [info for info in kept if info['img_id'] in annotated]
        if not kept:
            raise ValueError(
                f'{self.ann_file}: none of its {len(self.data_list)} images stays with '
                f'filter_cfg {self.filter_cfg}, base_only {self.base_only} and annotated_only '
                f'{self.annotated_only}'
            )
        return kept
