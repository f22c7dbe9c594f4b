"""COCO panoptic json: each annotated image with its segments, labels by a vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .categories import category_labels
from .coco_json import load_coco_json
from .vocabulary import Vocabulary


class PanopticJson(NamedTuple):
    """What `read_panoptic_json` gives."""

    content: dict
    """The whole file."""
    label_of: dict[int, int]
    """Category id to label; without the categories that the vocabulary lacks."""
    entries: list[tuple[dict, dict]]
    """Image and its annotation, which has `segments_info` and `file_name`, in the file's order."""


def read_panoptic_json(
    ann_file: str,
    vocabulary: Vocabulary,
    ignore_unknown: bool = False,
    backend_args: Mapping | None = None,
) -> PanopticJson:
    """Read a panoptic json.

    Args:
        ann_file: The file.
        vocabulary: Label i is its class i; categories are matched by name.
        ignore_unknown: Whether there may be categories that the vocabulary lacks.
        backend_args: As in mmengine's file clients.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is broken or disagrees with the vocabulary; names the file.
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
