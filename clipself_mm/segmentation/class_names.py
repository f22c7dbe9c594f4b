"""Which classes a segmentor is asked for: a vocabulary, a data set's, or a list."""

from __future__ import annotations

from collections.abc import Sequence

from mmseg.registry import DATASETS

from clipself_mm.datasets import Vocabulary, load_vocabulary


def find_vocabulary(given: str | Sequence[str]) -> Vocabulary:
    """Find a vocabulary.

    Args:
        given: Type of a data set that says its classes (``ADE20KDataset``); or the name of a
            vocabulary of the package or a file, see `load_vocabulary`; or the names themselves.

    Returns:
        The vocabulary; label i is its class i.

    Raises:
        FileNotFoundError: There is no such data set, name or file.
        ValueError: The data set's type says no classes, or a name is empty or doubled.
    """
    if not isinstance(given, str):
        return check_names(given)
    kind = DATASETS.get(given) if given.isidentifier() else None
    if kind is None:
        return load_vocabulary(given)
    classes = getattr(kind, 'METAINFO', {}).get('classes')
    if not classes:
        raise ValueError(
            f'the type {given} says no classes in its METAINFO; name the vocabulary by a file or '
            'list its classes'
        )
    return check_names(classes, given)


def check_names(classes: Sequence[str], name: str = 'of the config') -> Vocabulary:
    """Make a vocabulary of names.

    Args:
        classes: K names; a string is one name.
        name: What to call it in errors.

    Raises:
        ValueError: There is no name, or one is empty or doubled.
    """
    classes = (classes,) if isinstance(classes, str) else tuple(classes)
    if not all(isinstance(label, str) and label.strip() for label in classes):
        raise ValueError(f'vocabulary {name}: expected class names, got {list(classes)!r:.120}')
    try:
        return Vocabulary(name, classes)
    except ValueError as error:
        raise ValueError(f'vocabulary {name}: {error}') from error
