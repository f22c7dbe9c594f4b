"""Vocabularies of panoptic segmentation: things before stuff."""

from __future__ import annotations

from collections.abc import Mapping

from mmdet.registry import DATASETS

from clipself_mm.datasets import Vocabulary
from clipself_mm.models import find_vocabulary


def find_panoptic_vocabulary(given: str | Mapping | Vocabulary) -> Vocabulary:
    """Find a vocabulary of things and stuff.

    In mmdet label i is a thing if i is less than the number of things: things come first.

    Args:
        given: As in `find_vocabulary`: type of a panoptic data set of mmdet
            (`ADE20KPanopticDataset`), name or file of a vocabulary, or a mapping with the names of
            `things` and `stuff`.

    Returns:
        The vocabulary; label i is class i.

    Raises:
        FileNotFoundError: There is no such data set, name or file.
        ValueError: As in `find_vocabulary`, or a thing comes after stuff.
    """
    vocabulary = find_vocabulary(given, DATASETS, needs=('classes', 'thing_classes'))
    things = set(vocabulary.things)
    late = [name for name in vocabulary.classes[len(things) :] if name in things]
    if late:
        raise ValueError(
            f'vocabulary {vocabulary.name}: thing {late[0]!r} comes after stuff, expected all '
            'things first'
        )
    return vocabulary
