"""Ground truth for COCO's and LVIS' evaluators: the objects of an annotation file."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from mmengine.logging import print_log
from pycocotools import mask as coco_mask

from clipself_mm.datasets.annotations.boxes import (
    CROWD,
    IGNORED,
    BoxCounts,
    annotated_area,
    read_boxes,
)
from clipself_mm.datasets.annotations.coco_json import Key
from clipself_mm.datasets.annotations.masks import check_masks

LVIS_KEYS = ('neg_category_ids', 'not_exhaustive_category_ids')


def ground_truth(
    content: dict,
    label_of: Mapping[Key, int],
    path: str,
    masks: bool = False,
    lvis: bool = False,
) -> tuple[dict, BoxCounts]:
    """Make the ground truth of an evaluation from an annotation file.

    pycocotools and faster-coco-eval need numbers as ids, treat annotation 0 as unmatched and lose
    a box if its id is not unique. So images and annotations are numbered from 1 in their order, and
    the category of class i is i + 1. Boxes of other classes, without area or outside the image are
    left out; those with `ignore` count as crowds, on which detections are neither right nor wrong.

    Args:
        content: Content of the file, see `load_instances`; not changed.
        label_of: Category id to label.
        path: The file, for errors.
        masks: Whether masks are evaluated: they are checked, and an `area` that is missing or not
            positive is theirs. Otherwise it is that of the box.
        lvis: Whether images have the lists of `LVIS_KEYS`, whose ids are replaced.

    Returns:
        The ground truth in COCO's format, and the counts of its boxes.

    Raises:
        ValueError: A box or a mask is wrong.
    """
    images = {image['id']: image for image in content['images']}
    number_of = {key: number for number, key in enumerate(images, start=1)}
    counts = BoxCounts(path, len(images))
    annotations = [
        dict(annotation, bbox=box, iscrowd=int(reason is not None))
        for annotation, box, _, reason in read_boxes(content, counts, label_of)
        if reason in (None, CROWD, IGNORED)
    ]
    if masks:
        sizes = {key: (image.get('height'), image.get('width')) for key, image in images.items()}
        check_masks(annotations, sizes, path)
    for number, annotation in enumerate(annotations, start=1):
        image = images[annotation['image_id']]
        annotation['area'] = annotated_area(annotation) or (
            _mask_area(annotation, image)
            if masks
            else annotation['bbox'][2] * annotation['bbox'][3]
        )
        annotation['id'] = number
        annotation['image_id'] = number_of[annotation['image_id']]
        annotation['category_id'] = label_of[annotation['category_id']] + 1
    return dict(
        content,
        images=_numbered_images(content['images'], label_of, path, lvis),
        annotations=annotations,
        categories=_categories(content['categories'], label_of),
    ), counts


def _mask_area(annotation: dict, image: dict) -> float:
    """Number of pixels of the mask of an annotation."""
    runs = annotation['segmentation']
    if isinstance(runs, list):
        runs = coco_mask.merge(coco_mask.frPyObjects(runs, image['height'], image['width']))
    elif isinstance(runs['counts'], list):
        runs = coco_mask.frPyObjects(runs, image['height'], image['width'])
    return float(coco_mask.area(runs))


def _numbered_images(
    images: list[dict], label_of: Mapping[Key, int], path: str, lvis: bool
) -> list[dict]:
    """Images numbered from 1, their lists of LVIS with the new category ids."""
    numbered, unknown = [], 0
    for number, image in enumerate(images, start=1):
        lists = {}
        for key in LVIS_KEYS:
            if lvis:
                known = [category for category in image[key] if category in label_of]
                unknown += len(image[key]) - len(known)
                lists[key] = sorted({label_of[category] + 1 for category in known})
        numbered.append({**image, 'id': number, **lists})
    if unknown:
        print_log(
            f'{path}: {unknown} entries of {" and ".join(LVIS_KEYS)} are not used, they are of '
            'other categories',
            logger='current',
            level=logging.WARNING,
        )
    return numbered


def _categories(categories: list[dict], label_of: Mapping[Key, int]) -> list[dict]:
    """One category per class, in the order of the labels."""
    first: dict[int, dict] = {}
    for entry in categories:
        if entry['id'] in label_of:
            first.setdefault(label_of[entry['id']], entry)
    return [dict(first[label], id=label + 1) for label in sorted(first)]
