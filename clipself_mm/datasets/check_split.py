"""What a detection data set finds of its vocabulary in an annotation file."""

from __future__ import annotations

from collections import Counter

from .base_split import base_complete_labels
from .vocabulary import Vocabulary

PUBLISHED = {
    ('ov_coco', True): '107,761 images, 665,387 boxes',
    ('ov_coco', False): '4,836 images, 33,152 boxes, 28,538 base, 4,614 novel',
}
"""Size of OV-COCO as the literature has it, (vocabulary, only base classes) -> text."""


def describe_split(content: dict, vocabulary: Vocabulary, base_only: bool, path: str) -> str:
    """Count what `OpenVocabCocoDataset` reads of a file, for people.

    Args:
        content: A COCO-style or LVIS-style file.
        vocabulary: The vocabulary.
        base_only: Whether boxes of novel classes are left out.
        path: The file, for the error.

    Returns:
        Number of images with a box and of boxes, by split if there is one, and the published
        numbers beside those of OV-COCO.

    Raises:
        ValueError: If the file lacks categories or annotations, or a class it should have.
    """
    for key in ('categories', 'annotations'):
        if not isinstance(content.get(key), list):
            raise ValueError(f'{path}: expected a list {key!r}, the file has {sorted(content)}')
    label_of = base_complete_labels(content['categories'], vocabulary, path)
    novel = set(vocabulary.novel)
    split_of = {
        key: 'novel' if vocabulary.classes[label] in novel else 'base'
        for key, label in label_of.items()
    }
    if base_only:
        split_of = {key: split for key, split in split_of.items() if split == 'base'}
    known = [entry for entry in content['annotations'] if entry['category_id'] in split_of]
    images = {entry['image_id'] for entry in known}
    text = f'{len(images):,} images, {len(known):,} boxes'
    if novel and not base_only:
        counts = Counter(split_of[entry['category_id']] for entry in known)
        text += f', {counts["base"]:,} base, {counts["novel"]:,} novel'
    published = PUBLISHED.get((vocabulary.name, base_only))
    return f'{text} (published: {published})' if published else text
