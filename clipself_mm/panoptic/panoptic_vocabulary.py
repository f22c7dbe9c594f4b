"""The classes of panoptic segmentation, things before stuff."""

from __future__ import annotations

from collections.abc import Mapping

from mmdet.registry import DATASETS

from clipself_mm.datasets import Vocabulary
from clipself_mm.models import find_vocabulary


def find_panoptic_vocabulary(given: str | Mapping | Vocabulary) -> Vocabulary:
    """Find a vocabulary of things and stuff.

    mmdet tells the two apart by the label alone: label i is a thing if i is less than the number of
    things, so things stand first.

    Args:
        given: As `find_vocabulary` takes it: type of a panoptic data set of mmdet
            (`ADE20KPanopticDataset`), name or file of a vocabulary, or the names as a mapping with
            `things` and `stuff`.

    Returns:
        The vocabulary; label i is its class i.

    Raises:
        FileNotFoundError: There is no such data set, name or file.
        ValueError: As in `find_vocabulary`, or stuff stands before things.
    """
    words = find_vocabulary(given, DATASETS, needs=('classes', 'thing_classes'))
    things = set(words.things)
    late = [name for name in words.classes[len(things) :] if name in things]
    if late:
        raise ValueError(
            f'vocabulary {words.name}: thing {late[0]!r} stands behind stuff; mmdet tells things '
            'by their labels, list all things first'
        )
    return words
