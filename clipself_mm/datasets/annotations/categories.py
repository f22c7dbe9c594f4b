"""Category ids of an annotation file to labels of a vocabulary and back, by name."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from mmengine.logging import print_log

from clipself_mm.io.names import name_key, near_misses

from .coco_json import Key
from .vocabulary import Vocabulary, class_names


def category_labels(
    categories: Sequence[dict], vocabulary: Vocabulary, path: str, ignore_unknown: bool = False
) -> dict[Key, int]:
    """Match the categories of an annotation file with a vocabulary by their names or aliases.

    Args:
        categories: Entries of `categories`, with `id`, `name` and in panoptic files `isthing`.
        vocabulary: The vocabulary.
        path: The annotation file, for the error.
        ignore_unknown: Ignore categories that are not in the vocabulary.

    Returns:
        Category id to label.

    Raises:
        ValueError: A category is not in the vocabulary (with `ignore_unknown`: none is), or is a
            thing in one and stuff in the other.
    """
    label_of = {name_key(name): label for label, name in enumerate(vocabulary.classes)}
    count, things = len(vocabulary.classes), set(vocabulary.things)
    for alias, name in class_names(vocabulary.aliases).items():
        label_of[name_key(alias)] = label_of[name_key(name)]
    known = [entry for entry in categories if name_key(entry['name']) in label_of]
    unknown = [entry['name'] for entry in categories if name_key(entry['name']) not in label_of]
    found = {entry['id']: label_of[name_key(entry['name'])] for entry in known}
    missing = [vocabulary.classes[label] for label in set(range(count)) - set(found.values())]
    near = near_misses(missing, unknown)
    if near or not known or (unknown and not ignore_unknown):
        raise ValueError(
            f'{path}: {len(unknown)} of {len(categories)} categories are not among the '
            f'{count} classes of vocabulary {vocabulary.name}: {unknown[:5]}{near}'
        )
    for entry in known:
        name = vocabulary.classes[found[entry['id']]]
        if things and 'isthing' in entry and bool(entry['isthing']) != (name in things):
            raise ValueError(
                f'{path}: category {entry["name"]!r} has isthing {entry["isthing"]}, expected '
                f'{int(name in things)} from vocabulary {vocabulary.name}'
            )
    doubtful = near_misses(vocabulary.classes, unknown)
    if doubtful:
        print_log(
            f'{path}: a category is not read as the class of nearly its name{doubtful}',
            logger='current',
            level=logging.WARNING,
        )
    for label, count in Counter(found.values()).items():
        if count > 1:
            ids = [key for key, other in found.items() if other == label]
            print_log(
                f'{path}: categories {ids} are all named {vocabulary.classes[label]!r} and read as '
                'one class',
                logger='current',
                level=logging.WARNING,
            )
    return found


def base_complete_labels(
    categories: Sequence[dict], vocabulary: Vocabulary, path: str
) -> dict[Key, int]:
    """Match categories with a vocabulary by name; only novel classes may be missing.

    Categories outside the vocabulary are ignored (COCO has 80, OV-COCO 65 of them).

    Args:
        categories: Entries of `categories`, with `id` and `name`.
        vocabulary: The vocabulary. Without a split, no class may be missing.
        path: The annotation file, for the error.

    Returns:
        Category id to label.

    Raises:
        ValueError: A base class is missing.
    """
    label_of = category_labels(categories, vocabulary, path, ignore_unknown=True)
    found = {vocabulary.classes[label] for label in label_of.values()}
    needed = vocabulary.base or vocabulary.classes
    missing = [name for name in needed if name not in found]
    if missing:
        kind = 'base classes' if vocabulary.base else 'classes'
        raise ValueError(
            f'{path}: its categories lack {len(missing)} of {len(needed)} {kind} of vocabulary '
            f'{vocabulary.name}: {missing[:5]}'
        )
    return label_of


def keep_base(content: dict, vocabulary: Vocabulary, path: str, drop_empty: bool = False) -> dict:
    """Keep only the annotations of base classes.

    Args:
        content: Content of a COCO-style or LVIS-style file; not changed.
        vocabulary: A vocabulary with a split.
        path: The annotation file, for the error.
        drop_empty: Leave out images without such an annotation.

    Returns:
        The content with all categories and fewer `annotations` and perhaps `images`.

    Raises:
        ValueError: The vocabulary has no split or the file lacks a base class.
    """
    if not vocabulary.base:
        raise ValueError(f'vocabulary {vocabulary.name} has no base classes to keep')
    label_of = base_complete_labels(content['categories'], vocabulary, path)
    base = set(vocabulary.base)
    kept = {key for key, label in label_of.items() if vocabulary.classes[label] in base}
    annotations = [entry for entry in content['annotations'] if entry['category_id'] in kept]
    images = content['images']
    if drop_empty:
        filled = {entry['image_id'] for entry in annotations}
        images = [image for image in images if image['id'] in filled]
    return {**content, 'images': images, 'annotations': annotations}


def complete_labels(
    categories: Sequence[dict],
    classes: Sequence[str],
    path: str,
    aliases: Mapping[str, Sequence[str]] | None = None,
) -> dict[Key, int]:
    """Match the categories of an annotation file with classes that must all be there.

    Args:
        categories: Entries of `categories` with `id` and `name`, in any order; other categories are
            ignored.
        classes: K class names.
        path: The annotation file, for the error.
        aliases: Other names of classes in annotation files.

    Returns:
        Category id to label; several ids of one label where categories have the same name.

    Raises:
        ValueError: A class is missing.
    """
    own = set(classes)
    used = {name: tuple(others) for name, others in (aliases or {}).items() if name in own}
    vocabulary = Vocabulary('of the data set', tuple(classes), aliases=used)
    label_of = category_labels(categories, vocabulary, path, ignore_unknown=True)
    found = set(label_of.values())
    missing = [name for label, name in enumerate(classes) if label not in found]
    if missing:
        raise ValueError(
            f'{path}: its {len(categories)} categories lack {len(missing)} of the '
            f'{len(classes)} classes of the dataset: {missing[:5]}'
        )
    return label_of
