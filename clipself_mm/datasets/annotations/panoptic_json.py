"""COCO panoptic json: each annotated image with its segments, and the labels of a vocabulary."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from mmengine.logging import print_log

from clipself_mm.io.names import name_key

from .boxes import OTHER_CLASS, check_box
from .categories import category_labels
from .coco_json import Key, check_category, load_coco_json
from .vocabulary import Vocabulary


class PanopticJson(NamedTuple):
    """Result of `read_panoptic_json`."""

    content: dict
    """Content of the file."""
    label_of: dict[Key, int]
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
    content, entries = load_panoptic_json(ann_file, backend_args)
    label_of = category_labels(content['categories'], vocabulary, ann_file, ignore_unknown)
    return PanopticJson(content, label_of, entries)


def load_panoptic_json(
    ann_file: str, backend_args: dict | None = None
) -> tuple[dict, list[tuple[dict, dict]]]:
    """Read a panoptic json without matching its classes.

    Args:
        ann_file: The file.
        backend_args: Arguments of MMEngine's file backend.

    Returns:
        Content of the file, and image and annotation as in `PanopticJson`.

    Raises:
        ValueError: The file is broken or annotates no image.
    """
    content = load_coco_json(ann_file, ('images', 'annotations', 'categories'), backend_args)
    for category in content['categories']:
        if 'isthing' not in category:
            raise ValueError(f"{ann_file}: category {category['id']!r} has no 'isthing'")
    for name, number in Counter(name_key(e['name']) for e in content['categories']).items():
        if number > 1:
            raise ValueError(
                f'{ann_file}: {number} categories are named {name!r}, expected distinct names'
            )
    images = {image['id']: image for image in content['images']}
    known = {category['id'] for category in content['categories']}
    entries, seen = [], set()
    for entry in content['annotations']:
        image, segments = images.get(entry['image_id']), entry.get('segments_info')
        if image is None or not isinstance(segments, list) or not _is_name(entry.get('file_name')):
            raise ValueError(
                f"{ann_file}: expected entries with a list 'segments_info', 'file_name' and the "
                f"'image_id' of a listed image, got image_id {entry['image_id']!r} and "
                f'{entry!r:.120}'
            )
        if entry['image_id'] in seen:
            raise ValueError(f'{ann_file}: image {entry["image_id"]!r} is annotated twice')
        seen.add(entry['image_id'])
        ids: set[int] = set()
        for segment in segments:
            if not isinstance(segment, dict) or not isinstance(segment.get('id'), int):
                raise ValueError(
                    f'{ann_file}: expected segments with an integer id, image '
                    f'{entry["image_id"]!r} has {segment!r:.120}'
                )
            if segment['id'] in ids:
                raise ValueError(
                    f'{ann_file}: image {entry["image_id"]!r} has segment {segment["id"]} twice'
                )
            ids.add(segment['id'])
            what = f'segment {segment["id"]} of image {entry["image_id"]!r}'
            check_category(segment, known, what, ann_file)
            if 'bbox' in segment:
                check_box(segment['bbox'], segment['id'], ann_file)
        entries.append((image, entry))
    if not entries:
        raise ValueError(f"{ann_file} has no annotated image: 'annotations' is []")
    return content, entries


def log_segments(found: PanopticJson, path: str) -> None:
    """Log one line of what is used.

    Args:
        found: The content of the file.
        path: The file.

    Raises:
        ValueError: No segment is of a class of the vocabulary.
    """
    segments = [part for _, entry in found.entries for part in entry['segments_info']]
    used = sum(part['category_id'] in found.label_of for part in segments)
    line = f'{len(found.entries):,} images, {len(segments):,} segments: '
    if others := len(segments) - used:
        line += f'{others:,} {OTHER_CLASS}, '
    if not used:
        raise ValueError(f'{path}: no segment can be used ({line}0 used)')
    print_log(f'{path}: {line}{used:,} used', logger='current')


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value)
