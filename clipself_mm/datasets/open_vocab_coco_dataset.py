"""Detection data in the format of COCO or LVIS with the labels of a vocabulary."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, ClassVar

from mmdet.datasets import CocoDataset
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from .annotations.boxes import (
    CROWD,
    NO_IMAGE,
    NOVEL,
    OTHER_CLASS,
    BoxCounts,
    annotated_area,
    read_boxes,
)
from .annotations.categories import base_complete_labels
from .annotations.coco_json import image_file_names, load_instances
from .annotations.masks import check_masks
from .annotations.vocabulary import Vocabulary, load_vocabulary
from .image_files import CheckedImages
from .transforms.load_rgb import check_first_image

NOVEL_COLOUR = (220, 38, 38)
"""RGB red, as in the paper's Figure A2."""
BASE_COLOUR = (37, 99, 235)
"""RGB blue."""


def vocabulary_metainfo(vocabulary: Vocabulary, metainfo: Mapping | None = None) -> dict:
    """Metainfo of a dataset for mm's visualizers, metrics and heads.

    Args:
        vocabulary: The vocabulary.
        metainfo: More entries, for example a `palette`.

    Returns:
        `classes`, `base_classes` and `novel_classes` (tuples, the latter two empty without a
        split), `palette` (one colour per class, novel red and base blue; absent without a split,
        where mmdet takes random colours), `aliases` if there are any, and the entries of
        `metainfo`.

    Raises:
        ValueError: An entry contradicts the vocabulary.
    """
    metainfo = dict(metainfo or {})
    entries: dict[str, Any] = dict(
        classes=vocabulary.classes, base_classes=vocabulary.base, novel_classes=vocabulary.novel
    )
    for key, names in entries.items():
        if key in metainfo and tuple(metainfo[key]) != names:
            raise ValueError(
                f'metainfo has {len(metainfo[key])} {key}, {list(metainfo[key])[:3]}..., which '
                f'differ in names or order from the {len(names)} of vocabulary {vocabulary.name}: '
                'leave them out of metainfo'
            )
    if vocabulary.novel:
        novel = set(vocabulary.novel)
        entries['palette'] = [
            NOVEL_COLOUR if name in novel else BASE_COLOUR for name in vocabulary.classes
        ]
    if vocabulary.aliases:
        entries['aliases'] = vocabulary.aliases
    return {**entries, **metainfo}


@DATASETS.register_module()
class OpenVocabCocoDataset(CheckedImages, CocoDataset):
    """mmdet's `CocoDataset` with the classes and the split of a vocabulary.

    Label i is class i of the vocabulary. Categories of the json are matched by name, in any order.
    Categories outside the vocabulary are ignored; the json may lack novel classes. LVIS images have
    `coco_url` instead of `file_name`; its last two parts are the path
    (`train2017/000000000009.jpg`). `cat_ids` holds the category ids of the classes that the json
    has, in the order of the vocabulary.

    For training, use the standard `instances_train2017.json` or `lvis_v1_train.json` with
    `base_only=True` and `filter_cfg=dict(filter_empty_gt=True)`, which drops the images without an
    annotation of a base class. The published OV-COCO numbers are of the 4,836 images of val2017
    that have an annotation of the 65 classes: set `annotated_only=True`, because mmdet ignores
    `filter_cfg` in test mode.

    With `test_mode=True` the metainfo has the path of the json (`ann_file`), which the metrics of
    this package use. A `ConcatDataset` (mmengine) of two such datasets needs
    `ignore_keys=['ann_file']`, and its evaluator the `ann_file` of a json of both.

    Images are read by `LoadBGR`, see `CheckedImages`.

    Args:
        ann_file: COCO instances json or LVIS json.
        vocabulary: Name or file of the vocabulary (`ov_coco`, `ov_lvis`, `coco`, ...).
        base_only: Leave out the boxes of novel classes; needs a vocabulary with a split.
        annotated_only: Leave out the images without a box of the vocabulary, also in test mode.
        metainfo: More metainfo; it must not contradict the vocabulary.
        **kwargs: As in mmdet's `CocoDataset`.
    """

    METAINFO: ClassVar[dict] = {}

    def __init__(
        self,
        ann_file: str,
        vocabulary: str,
        base_only: bool = False,
        annotated_only: bool = False,
        metainfo: Mapping | None = None,
        **kwargs: Any,
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
        """Read the annotation file; the log has one line of what is used.

        Returns:
            One dict per image as mmdet's, in the order of the file, without the boxes that show no
            object (see `why_unused`), and without masks unless the pipeline loads them. An image
            with annotations has `boxes_extent`, see `BoxCounts.extents`.

        Raises:
            ImageReadError: The first image has another size or frame than annotated.
            ValueError: The file is broken or lacks a base class; or no box can be used for
                training; or masks are loaded and some are missing or wrong.
        """
        content = load_instances(self.ann_file, self.backend_args)
        images = content['images']
        self._check_sizes(images)
        self.cat2label = base_complete_labels(content['categories'], self.vocabulary, self.ann_file)
        self.cat_ids = sorted(self.cat2label, key=self.cat2label.__getitem__)
        self.cat_img_map = defaultdict(list)
        annotations_of = defaultdict(list)
        self.box_counts = counts = BoxCounts(self.ann_file, len(images))
        loaders = [step for step in self.pipeline.transforms if hasattr(step, 'with_mask')]
        with_mask = any(step.with_mask for step in loaders)
        novel = self.vocabulary.novel if self.base_only else ()
        for annotation, box, _, reason in read_boxes(
            content, counts, self.cat2label, self.vocabulary.classes, {*novel}, min_side=1
        ):
            key = annotation['image_id']
            if reason in (NO_IMAGE, OTHER_CLASS, NOVEL):
                continue
            self.cat_img_map[annotation['category_id']].append(key)
            if reason in (None, CROWD):
                annotation['area'] = annotated_area(annotation) or box[2] * box[3]
                if loaders and not with_mask:
                    annotation.pop('segmentation', None)
                annotations_of[key].append(annotation)
        if with_mask:
            sizes = {image['id']: (image['height'], image['width']) for image in images}
            known = itertools.chain.from_iterable(annotations_of.values())
            check_masks(known, sizes, self.ann_file)
        names = image_file_names(images, self.ann_file)
        infos = []
        for image, name in zip(images, names, strict=True):
            image = dict(image, img_id=image['id'], file_name=name)
            raw = dict(raw_img_info=image, raw_ann_info=annotations_of[image['id']])
            infos.append(self.parse_data_info(raw))
            if image['id'] in counts.extents:
                infos[-1]['boxes_extent'] = counts.extents[image['id']]
        check_first_image(infos, self.pipeline.transforms)
        trained = [name for name in self.vocabulary.classes if name not in novel]
        counts.report(needed=not self.test_mode, classes=() if self.test_mode else trained)
        return infos

    def _check_sizes(self, images: list[dict]) -> None:
        """Raise ValueError if an image has no size."""
        for image in images:
            if not (image.get('height') and image.get('width')):
                raise ValueError(f'{self.ann_file}: image {image["id"]} has no height and width')

    def filter_data(self) -> list[dict]:
        """Drop images according to `filter_cfg` (in training) and `annotated_only`.

        Raises:
            ValueError: No image is left.
        """
        kept = super().filter_data()
        if self.annotated_only:
            annotated = {key for cat_id in self.cat_ids for key in self.cat_img_map[cat_id]}
            kept = [info for info in kept if info['img_id'] in annotated]
        if len(kept) < len(self.data_list):
            print_log(
                f'{self.ann_file}: {len(kept):,} of {len(self.data_list):,} images are left by '
                f'filter_cfg {self.filter_cfg} and annotated_only {self.annotated_only}',
                logger='current',
            )
        if not kept:
            raise ValueError(
                f'{self.ann_file}: none of its {len(self.data_list)} images is left by '
                f'filter_cfg {self.filter_cfg}, base_only {self.base_only} and annotated_only '
                f'{self.annotated_only}'
            )
        return kept
