"""COCO panoptic json: each annotated image with its segments, and the labels of a vocabulary."""

from __future__ import annotations

from typing import NamedTuple

from .categories import category_labels
from .coco_json import load_coco_json
from .vocabulary import Vocabulary


class PanopticJson(NamedTuple):
    """Result of `read_panoptic_json`."""

    content: dict
    """Content of the file."""
    label_of: dict[int, int]
    """Category id to label, for the categories in the vocabulary."""
    entries: list[tuple[dict, dict]]
    """Image and its annotation (with `segments_info` and `file_name`), in the order of the file."""


def read_panoptic_json(
    ann_file: str,
    vocabulary: Vocabulary,
    ignore_unknown: bool = False,
    backend_args: dict | None = None,
) -> PanopticJson:
    """Read a panoptic json.

    Args:
        ann_file: The file.
        vocabulary: Label i is its class i; categories are matched by name.
        ignore_unknown: Ignore categories that are not in the vocabulary (False: an error).
        backend_args: Arguments of MMEngine's file backend.

    Raises:
        ValueError: The file is broken or contradicts the vocabulary.
    """
    content = load_coco_json(ann_file, ('images', 'annotations', 'categories'), backend_args)
    label_of = category_labels(content['categories'], vocabulary, ann_file, ignore_unknown)
    images = {image['id']: image for image in content['images']}
    entries = []
    for entry in content['annotations']:
        image = images.get(entry.get('image_id'))
        if image is None or not {'segments_info', 'file_name'} <= entry.keys():
            raise ValueError(
                f"{ann_file}: expected entries with 'segments_info', 'file_name' and the "
                f"'image_id' of a listed image, got image_id {entry.get('image_id')} and "
                f'{sorted(entry)}'
            )
        entries.append((image, entry))
    return PanopticJson(content, label_of, entries)
