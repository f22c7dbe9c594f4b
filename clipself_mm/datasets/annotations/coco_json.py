"""Reading and checking of COCO-style annotation files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine import fileio

from clipself_mm.io.text_files import parse_json


def read_json(path: str, backend_args: dict | None = None) -> dict | list:
    """Read a JSON file.

    Args:
        path: Path or URL.
        backend_args: Arguments of MMEngine's file backend.

    Returns:
        The content.

    Raises:
        FileNotFoundError, IsADirectoryError: The file does not exist.
        ValueError: It is not valid JSON.
    """
    try:
        content = fileio.get(path, backend_args=backend_args)
    except FileNotFoundError as error:
        raise FileNotFoundError(f'annotation file {path} does not exist') from error
    except IsADirectoryError as error:
        raise IsADirectoryError(f'{path}: expected a JSON file, it is a folder') from error
    return parse_json(content, path)


def load_coco_json(
    path: str, required: Sequence[str] = ('images',), backend_args: dict | None = None
) -> dict:
    """Read a COCO-style annotation file.

    Args:
        path: Path or URL.
        required: Keys that must have a list.
        backend_args: Arguments of MMEngine's file backend.

    Returns:
        The content.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is broken, lacks a required list, has an image id twice, or an annotation
            without image id.
    """
    content = read_json(path, backend_args)
    if not isinstance(content, dict):
        raise ValueError(
            f'{path}: expected a COCO-style object with {list(required)}, '
            f'got a {type(content).__name__}'
        )
    for key in required:
        if key not in content:
            raise ValueError(f'{path}: expected a list {key!r}, the file has {sorted(content)}')
        if not isinstance(content[key], list):
            kind = type(content[key]).__name__
            raise ValueError(f'{path}: expected a list {key!r}, got a {kind}')
    seen = set()
    for image in content.get('images', []):
        if 'id' not in image:
            raise ValueError(f"{path}: an image has no 'id': {image}")
        if image['id'] in seen:
            raise ValueError(f'{path}: image id {image["id"]} is listed twice')
        seen.add(image['id'])
    for annotation in content.get('annotations', []):
        if 'image_id' not in annotation:
            raise ValueError(f"{path}: an annotation has no 'image_id': {str(annotation)[:200]}")
    return content


def image_file_name(image: dict, path: str) -> str:
    """Return the path of an image relative to the image folder.

    Args:
        image: Entry of `images`. COCO has `file_name`. LVIS has only `coco_url`, whose last two
            parts are folder and file (`train2017/000000000009.jpg`).
        path: The annotation file, for the error.

    Raises:
        ValueError: The image has neither.
    """
    if image.get('file_name'):
        return image['file_name']
    if image.get('coco_url'):
        return '/'.join(image['coco_url'].split('/')[-2:])
    raise ValueError(f"{path}: image {image['id']} has neither 'file_name' nor 'coco_url'")


def check_box(box: Any, annotation_id: object, path: str) -> list[float]:  # noqa: ANN401
    """Check an annotated box.

    Args:
        box: Value of `bbox`.
        annotation_id: Id of the annotation, for the error.
        path: The annotation file, for the error.

    Returns:
        x, y, width, height in source pixels.

    Raises:
        ValueError: The box is not four finite numbers.
    """
    try:
        edges = [float(edge) for edge in box]
    except (TypeError, ValueError):
        edges = []
    if len(edges) != 4 or not all(map(math.isfinite, edges)):
        raise ValueError(
            f'{path}: bbox of annotation {annotation_id} is {box}, expected four finite numbers '
            'x, y, width, height'
        )
    return edges


def boxes_by_image(annotations: list[dict], path: str) -> dict[int | str, np.ndarray]:
    """Collect the boxes of each image.

    Crowd boxes are kept, as in the official implementation: a region may show several objects.

    Args:
        annotations: Entries with `image_id` and `bbox` (x, y, width, height in pixels); an entry
            without `bbox` is ignored.
        path: The annotation file, for the error.

    Returns:
        Image id to boxes x, y, width, height in source pixels, float64 of shape (R, 4), in the
        order of the file.

    Raises:
        ValueError: A box is not four finite numbers.
    """
    collected: dict[int | str, list] = {}
    for annotation in annotations:
        box = annotation.get('bbox')
        if box is None:
            continue
        box = check_box(box, annotation.get('id'), path)
        collected.setdefault(annotation['image_id'], []).append(box)
    return {key: np.array(boxes, np.float64) for key, boxes in collected.items()}
