"""What base classes leave of an annotation file: the only boxes open-vocabulary training sees."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from clipself_mm.whole_file import whole_file

from .category_labels import category_labels
from .vocabulary import Vocabulary


def base_complete_labels(
    categories: Sequence[dict], vocabulary: Vocabulary, path: str
) -> dict[int, int]:
    """Match categories with a vocabulary by name; only novel classes may be missing.

    Categories outside the vocabulary are passed over (COCO has 80, OV-COCO 65 of them).

    Args:
        categories: Entries of `categories`, with `id` and `name`.
        vocabulary: The vocabulary. Without a split, every class has to be there.
        path: The annotation file, for the error.

    Returns:
        Category id to label.

    Raises:
        ValueError: If a base class is missing, or every class; names the file and the classes.
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
    """Leave out every annotation that is not of a base class.

    Args:
        content: A COCO-style or LVIS-style file; not changed.
        vocabulary: The vocabulary, which says what is base.
        path: The annotation file, for the error.
        drop_empty: Leave out the images that have no annotation then.

    Returns:
        The same content, categories included, with fewer `annotations` and perhaps `images`.

    Raises:
        ValueError: If the vocabulary has no split or the file lacks a base class.
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


def save_json(content: dict, path: str | Path) -> None:
    """Write a file that is either whole or absent.

    Args:
        content: What to write.
        path: The file; its folder is made.
    """
    with whole_file(path) as part:
        part.write_text(json.dumps(content, separators=(',', ':')), encoding='utf-8')
