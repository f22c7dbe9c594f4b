"""Category ids of an annotation file to labels of a vocabulary and back, by name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from .vocabulary import Vocabulary, class_names


def category_labels(
    categories: Sequence[dict], vocabulary: Vocabulary, path: str, ignore_unknown: bool = False
) -> dict[int, int]:
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
    label_of = {name: label for label, name in enumerate(vocabulary.classes)}
    count, things = len(label_of), set(vocabulary.things)
    label_of |= {alias: label_of[name] for alias, name in class_names(vocabulary.aliases).items()}
    unknown = [entry['name'] for entry in categories if entry['name'] not in label_of]
    if len(unknown) == len(categories) or (unknown and not ignore_unknown):
        raise ValueError(
            f'{path}: {len(unknown)} of {len(categories)} categories are not among the '
            f'{count} classes of vocabulary {vocabulary.name}: {unknown[:5]}'
        )
    known = [entry for entry in categories if entry['name'] in label_of]
    for entry in known:
        name = vocabulary.classes[label_of[entry['name']]]
        if 'isthing' in entry and bool(entry['isthing']) != (name in things):
            raise ValueError(
                f'{path}: category {entry["name"]!r} has isthing {entry["isthing"]}, expected '
                f'{int(name in things)} from vocabulary {vocabulary.name}'
            )
    return {entry['id']: label_of[entry['name']] for entry in known}


def base_complete_labels(
    categories: Sequence[dict], vocabulary: Vocabulary, path: str
) -> dict[int, int]:
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


def category_ids(
    categories: Sequence[dict],
    classes: Sequence[str],
    path: str,
    aliases: Mapping[str, Sequence[str]] | None = None,
) -> list[int]:
    """Category id of each class, by name or alias.

    Args:
        categories: Entries of `categories` with `id` and `name`, in any order; other categories are
            ignored.
        classes: K class names.
        path: The annotation file, for the error.
        aliases: Other names of classes in annotation files.

    Returns:
        K ids; entry i belongs to class i.

    Raises:
        ValueError: A class is missing or two categories have its name.
    """
    class_of, ids = class_names(aliases or {}), defaultdict(list)
    for entry in categories:
        ids[class_of.get(entry['name'], entry['name'])].append(entry['id'])
    missing = [name for name in classes if name not in ids]
    if missing:
        raise ValueError(
            f'{path}: its {len(categories)} categories lack {len(missing)} of the '
            f'{len(classes)} classes of the dataset: {missing[:5]}'
        )
    duplicates = [name for name in classes if len(ids[name]) > 1]
    if duplicates:
        raise ValueError(f'{path}: several categories are named {duplicates[:5]}')
    return [ids[name][0] for name in classes]
