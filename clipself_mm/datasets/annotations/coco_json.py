"""Reading and checking of COCO-style annotation files."""

from __future__ import annotations

import logging
import math
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import TypeGuard

from mmengine import fileio
from mmengine.logging import print_log

from clipself_mm.io.text_files import parse_json

Key = int | str
"""Id of an image or a category."""


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
    """Read a COCO-style annotation file and check its structure, ids and category names.

    Ids are numbers or text, but of one type in the whole file. An annotation may have an image id
    that is not listed.

    Args:
        path: Path or URL.
        required: Keys that must have a list.
        backend_args: Arguments of MMEngine's file backend.

    Returns:
        The content; whole numbers that were written as floats (``7.0``) are integers.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is broken, lacks a required list, an id or a name, or has an image id or
            category id twice.
    """
    content = read_json(path, backend_args)
    if not isinstance(content, dict):
        raise ValueError(
            f'{path}: expected a COCO-style object with {list(required)}, '
            f'got a {type(content).__name__}'
        )
    for key in required:
        if key not in content:
            kind = ' (a file of captions)' if _has_captions(content) else ''
            raise ValueError(
                f'{path}: expected a list {key!r}, the file has {sorted(content)}{kind}'
            )
    if 'images' in required and content['images'] == []:
        raise ValueError(f"{path} lists no image: 'images' is []")
    for key in ('images', 'annotations', 'categories'):
        entries = content.get(key, [])
        if not isinstance(entries, list):
            kind = type(entries).__name__
            raise ValueError(f'{path}: expected a list {key!r}, got a {kind}')
        for number, entry in enumerate(entries):
            if not isinstance(entry, dict):
                raise ValueError(
                    f'{path}: entry {number} of {key!r} is {entry!r:.80}, expected an object'
                )
    _check_images(content.get('images', []), path)
    _check_categories(content.get('categories', []), path)
    expected = _id_type(content.get('images', []))
    for annotation in content.get('annotations', []):
        annotation['image_id'] = _read_id(annotation, 'image_id', 'an annotation', path)
        if type(annotation['image_id']) is not expected:
            what = f'image_id of {_name(annotation)}'
            require_type(annotation['image_id'], expected, what, path)
        for key in ('iscrowd', 'ignore'):
            if annotation.get(key) not in (None, 0, 1):
                raise ValueError(
                    f'{path}: {key} of {_name(annotation)} is {annotation[key]!r:.80}, expected 0 '
                    'or 1'
                )
    return content


def load_instances(path: str, backend_args: dict | None = None) -> dict:
    """Read a COCO-style file whose annotations have categories.

    Args:
        path: Path or URL.
        backend_args: Arguments of MMEngine's file backend.

    Returns:
        As `load_coco_json`.

    Raises:
        FileNotFoundError, ValueError: As in `load_coco_json`; or the category id of an annotation
            is missing or not in `categories`.
    """
    content = load_coco_json(path, ('images', 'annotations', 'categories'), backend_args)
    check_instances(content, path)
    return content


def check_instances(content: dict, path: str) -> None:
    """Check the categories of annotations, see `load_instances`; `content` is changed in place."""
    annotations = content.get('annotations', [])
    if _has_captions(content) and 'bbox' not in annotations[0]:
        raise ValueError(f'{path}: expected annotated boxes, this is a file of captions')
    known = {entry['id'] for entry in content['categories']}
    for annotation in annotations:
        check_category(annotation, known, _name(annotation), path)


def _has_captions(content: dict) -> bool:
    """Whether the first annotation is a caption."""
    annotations = content.get('annotations')
    first = annotations[0] if isinstance(annotations, list) and annotations else None
    return isinstance(first, dict) and 'caption' in first


def check_category(entry: dict, known: Collection[Key], what: str, path: str) -> None:
    """Check the `category_id` of an annotation or a segment.

    Args:
        entry: With `category_id`, changed in place as by `load_coco_json`.
        known: Ids of the categories.
        what: Name of the entry, for the error.
        path: The annotation file, for the error.

    Raises:
        ValueError: The id is missing, of another type than those of the categories, or unknown.
    """
    entry['category_id'] = _read_id(entry, 'category_id', what, path)
    kind = next((type(key) for key in known), None)
    require_type(entry['category_id'], kind, f'category_id of {what}', path, 'categories')
    if entry['category_id'] not in known:
        raise ValueError(
            f'{path}: {what} has category_id {entry["category_id"]!r}, which is not in '
            f"'categories' ({len(known)} of them)"
        )


def _check_images(images: list[dict], path: str) -> None:
    """Check that image ids are of one type and distinct, and that sizes are numbers."""
    seen: dict[Key, dict] = {}
    for image in images:
        image['id'] = key = _read_id(image, 'id', 'an image', path)
        if key in seen:
            names = [str(entry.get('file_name')) for entry in (seen[key], image)]
            raise ValueError(
                f'{path}: image id {key!r} is listed twice, for {names[0]} and {names[1]}'
            )
        require_type(key, _id_type(images), f'id of image {key!r}', path)
        seen[key] = image
        for side in ('height', 'width'):
            size = image.get(side)
            if size is None:
                continue
            if not is_number(size) or not 0 < size < _LARGE or size != int(size):
                raise ValueError(
                    f'{path}: {side} of image {key!r} is {size!r:.80}, expected a number of pixels'
                )
            image[side] = int(size)


def _check_categories(categories: list[dict], path: str) -> None:
    """Check that each category has an id of its own and a name."""
    seen: dict[Key, str] = {}
    for entry in categories:
        entry['id'] = key = _read_id(entry, 'id', 'a category', path)
        name = entry.get('name')
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"{path}: category {key!r} has no 'name', it is {entry!r:.120}")
        if entry.get('isthing', 0) not in (0, 1):
            raise ValueError(f'{path}: isthing of category {key!r} is {entry["isthing"]!r:.80}')
        if key in seen:
            raise ValueError(
                f'{path}: category id {key!r} is listed twice, for {seen[key]!r} and {name!r}'
            )
        require_type(key, _id_type(categories), f'id of category {key!r}', path, 'categories')
        seen[key] = name


def _read_id(entry: dict, key: str, what: str, path: str) -> Key:
    """Return an id, an integral float as an integer."""
    value = entry.get(key)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(f'{path}: {what} has no {key!r} that is a number or text: {entry!r:.200}')
    return value


def _id_type(entries: Sequence[dict]) -> type | None:
    """The type of the first id, which the others must have."""
    return type(entries[0]['id']) if entries else None


def require_type(key: Key, kind: type | None, what: str, path: str, of: str = 'images') -> None:
    """Check the type of an id.

    Args:
        key: The id.
        kind: The expected type, None for any.
        what: Name of the id, for the error.
        path: The annotation file, for the error.
        of: The list whose ids have this type, for the error.

    Raises:
        ValueError: The id is a number and the others are text, or vice versa.
    """
    if kind is not None and type(key) is not kind:
        found, expected = ('text', 'numbers') if kind is int else ('a number', 'text')
        raise ValueError(
            f'{path}: {what} is {found}, {key!r}, but the ids of {of!r} are {expected}: '
            'use one type in the whole file'
        )


def _name(annotation: dict) -> str:
    return f'annotation {annotation.get("id", "without id")!r}'


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a finite number, no boolean."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _HUGE


def image_file_name(image: dict, path: str) -> str:
    """Return the path of an image relative to the image folder.

    Args:
        image: Entry of `images`. COCO has `file_name`. LVIS has only `coco_url`, whose last two
            parts are folder and file (`train2017/000000000009.jpg`).
        path: The annotation file, for the error.

    Raises:
        ValueError: The image has neither, or `file_name` is not text, is a URL, or has the drive of
            a Windows path.
    """
    name, url = image.get('file_name'), image.get('coco_url')
    if not name:
        if isinstance(url, str) and url.strip() and '\0' not in url:
            return '/'.join(url.split('/')[-2:])
        raise ValueError(f"{path}: image {image['id']!r} has neither 'file_name' nor 'coco_url'")
    if not isinstance(name, str) or not name.strip() or '\0' in name:
        raise ValueError(f'{path}: file_name of image {image["id"]!r} is {name!r:.80}, no path')
    if _FOREIGN.match(name):
        kind = 'a URL' if '://' in name else 'a path of a Windows machine'
        raise ValueError(
            f'{path}: file_name of image {image["id"]!r} is {kind}, {name!r}: copy the images to a '
            "folder and write their paths in it, with '/'"
        )
    return name


_LARGE = 10**6
"""Pixels; no image is as wide."""
_HUGE = 2**63
"""Integers beyond it overflow in numpy."""
_FOREIGN = re.compile(r'[A-Za-z][A-Za-z0-9+.-]*://|[A-Za-z]:[\\/]|\\\\|file:|data:')


def image_file_names(images: Sequence[dict], path: str) -> list[str]:
    """Return the file names of all images, see `image_file_name`; warns of files listed twice.

    Args:
        images: Entries of `images`.
        path: The annotation file, for errors.

    Raises:
        ValueError: A name is missing or of another machine; the error has their number.
    """
    names, first, wrong = [], None, 0
    for image in images:
        try:
            names.append(image_file_name(image, path))
        except ValueError as error:
            first = first or error
            wrong += 1
    if first is not None:
        raise ValueError(f'{first} ({wrong} of {len(images)} images)' if wrong > 1 else str(first))
    absolute = [name for name in names if name.startswith('/')]
    if absolute and not os.path.exists(absolute[0]):
        raise ValueError(
            f'{path}: {len(absolute)} of {len(names)} file names are absolute paths and the first, '
            f'{absolute[0]}, does not exist here: write paths relative to the image folder'
        )
    shared: dict[str, list] = defaultdict(list)
    for image, name in zip(images, names, strict=True):
        shared['/'.join(path_parts(name))].append(image['id'])
    doubled = {name: keys for name, keys in shared.items() if len(keys) > 1}
    if doubled:
        name, keys = next(iter(doubled.items()))
        print_log(
            f'{path}: {sum(map(len, doubled.values()))} of {len(images)} images share a file with '
            f'others; {name} has the ids {keys[:5]}: are their boxes of one image?',
            logger='current',
            level=logging.WARNING,
        )
    return names


def path_parts(name: str) -> tuple[str, ...]:
    """Folders and file name of a path with either slash, in Unicode's form NFC."""
    name = unicodedata.normalize('NFC', name)
    parts = tuple(part for part in name.replace('\\', '/').split('/') if part not in ('', '.'))
    return parts or (name,)


def same_file(one: str, other: str) -> bool:
    """Whether the shorter of two paths is the end of the longer one."""
    return same_end(path_parts(one), path_parts(other))


def same_end(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether the shorter of two results of `path_parts` is the end of the longer one."""
    shared = min(len(one), len(other))
    return one[-shared:] == other[-shared:]
