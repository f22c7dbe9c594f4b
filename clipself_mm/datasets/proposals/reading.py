"""Reading of proposal files, and matching with the images of an annotation file."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from ..annotations.boxes import check_box
from ..annotations.coco_json import (
    image_file_name,
    load_coco_json,
    path_parts,
    read_json,
    same_end,
)
from .mmdet_pickle import read_proposal_pickle

Key = int | str
Boxes = tuple[np.ndarray, 'np.ndarray | None']
"""Boxes x, y, width, height in source pixels, float64 of shape (R, 4), and scores (R) or None."""
_Found = tuple[str, Key | None, Boxes]
"""Name of an image in the file of proposals, its id in the annotation file, its boxes."""


def read_proposals(
    src: str, images: Sequence[dict], ann_file: str
) -> tuple[dict[Key, Boxes], list[str]]:
    """Read a file of proposals.

    Args:
        src: A `.pkl` or `.pickle` of mmdet's `DumpProposals`, matched by file name; or a json:
            COCO's list of results (`image_id`, `bbox`, `score`), matched by id; or a COCO-style
            object (`images`, and `annotations` with `bbox` and perhaps `score`), matched by file
            name, or by id if an image has no file name. Categories are ignored.
        images: Entries of `images` of the annotation file.
        ann_file: The annotation file, for errors.

    Returns:
        Image id of the annotation file to boxes and scores; and names of the images that are not in
        the annotation file.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is broken, has an unknown format, or an image is ambiguous.
    """
    names = ImageNames(images, ann_file)
    if src.endswith(('.pkl', '.pickle')):
        found: list[_Found] = [
            (name, names.find(name), (_xywh(boxes), scores))
            for name, (boxes, scores) in read_proposal_pickle(src).items()
        ]
    else:
        found = _read_json(src, names, {image['id'] for image in images})
    return _by_image(found, src)


def _xywh(boxes: np.ndarray) -> np.ndarray:
    """Convert boxes xyxy to x, y, width, height."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def _read_json(src: str, names: ImageNames, known: set[Key]) -> list[_Found]:
    """Read the images with boxes of a json."""
    content = read_json(src)
    if isinstance(content, list):
        return [
            (f'image_id {key}', key if key in known else None, boxes)
            for key, boxes in group_boxes(content, src).items()
        ]
    content = load_coco_json(src, ('images', 'annotations'))
    image_of = {image['id']: image for image in content['images']}
    found: list[_Found] = []
    for key, boxes in group_boxes(content['annotations'], src).items():
        image = image_of.get(key)
        if image is None:
            found.append((f'image_id {key}, which is not in images', None, boxes))
        elif image.get('file_name') or image.get('coco_url'):
            name = image_file_name(image, src)
            key_found = names.find(name)
            names.compare_sizes(key_found, image, src)
            found.append((name, key_found, boxes))
        else:
            found.append((f'image_id {key}', key if key in known else None, boxes))
    return found


def group_boxes(entries: Sequence[dict], path: str) -> dict[Key, Boxes]:
    """Collect the boxes of each image.

    Args:
        entries: Results or annotations with `image_id` and `bbox` (x, y, width, height in source
            pixels); all or none have a `score`.
        path: Their file, for errors.

    Returns:
        Image id to boxes and scores, in the order of the file.

    Raises:
        ValueError: An entry is broken.
    """
    boxes: dict[Key, list] = defaultdict(list)
    scores: dict[Key, list] = defaultdict(list)
    scored = 0
    for index, entry in enumerate(entries):
        image = entry.get('image_id') if isinstance(entry, dict) else None
        if not isinstance(image, (int, str)) or 'bbox' not in entry:
            raise ValueError(
                f'{path}: entry {index} should have image_id and bbox, it is {entry!r:.80}'
            )
        boxes[image].append(check_box(entry['bbox'], entry.get('id', f'number {index}'), path))
        score = entry.get('score')
        if score is not None:
            if not isinstance(score, (int, float)) or not math.isfinite(score):
                raise ValueError(f'{path}: score of entry {index} is {score!r}, expected a number')
            scores[image].append(score)
            scored += 1
    if 0 < scored < len(entries):
        raise ValueError(f'{path}: {scored} of its {len(entries)} boxes have a score, not all')
    return {
        image: (
            np.array(rows, np.float64),
            np.array(scores[image], np.float64) if scored else None,
        )
        for image, rows in boxes.items()
    }


def _by_image(found: Iterable[_Found], src: str) -> tuple[dict[Key, Boxes], list[str]]:
    """Separate matched and missing images; ValueError if two names match one image."""
    kept: dict[Key, Boxes] = {}
    name_of: dict[Key, str] = {}
    missing = []
    for name, image, boxes in found:
        if image is None:
            missing.append(name)
        elif image in kept:
            raise ValueError(f'{src}: {name_of[image]} and {name} both match image {image}')
        else:
            kept[image], name_of[image] = boxes, name
    return kept, missing


class ImageNames:
    """Finds images by file name, with any number of parent folders.

    `train2017/1.jpg` and `1.jpg` match if that is not ambiguous. Folders that both paths have must
    be equal.

    Args:
        images: Entries of `images`.
        path: Their annotation file, for errors.
    """

    def __init__(self, images: Sequence[dict], path: str) -> None:
        self.path = path
        self._images = {image['id']: image for image in images}
        self._ids: dict[str, list[tuple[tuple[str, ...], Key]]] = defaultdict(list)
        for image in images:
            parts = path_parts(image_file_name(image, path))
            self._ids[parts[-1]].append((parts, image['id']))

    def compare_sizes(self, key: Key | None, image: dict, path: str) -> None:
        """Check that an image has the size of the annotation file, if both are known.

        Args:
            key: Its id there, None for none.
            image: Its entry in another file.
            path: That file, for the error.

        Raises:
            ValueError: The sizes differ.
        """
        own = self._images.get(key, {}) if key is not None else {}
        for side in ('width', 'height'):
            if own.get(side) and image.get(side) and own[side] != image[side]:
                raise ValueError(
                    f'{path}: {side} of {image_file_name(image, path)} is {image[side]}, in '
                    f'{self.path} it is {own[side]}'
                )

    def find(self, name: str) -> Key | None:
        """Id of the image with a file name, None if there is none.

        Args:
            name: File name, with any number of folders.

        Raises:
            ValueError: Several images match.
        """
        parts = path_parts(name)
        candidates = self._ids.get(parts[-1], [])
        found = [key for other, key in candidates if other == parts]
        if not found:
            found = [key for other, key in candidates if same_end(parts, other)]
        if len(found) > 1:
            raise ValueError(f'{self.path}: {name} matches several images, ids {found[:5]}')
        return found[0] if found else None
