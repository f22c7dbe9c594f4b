"""The classes of panoptic segmentation, things before stuff: a vocabulary or a data set's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmdet.registry import DATASETS

from clipself_mm.datasets import Vocabulary, load_vocabulary


def find_panoptic_vocabulary(given: str | Mapping | Vocabulary) -> Vocabulary:
    """Find a vocabulary of things and stuff.

    mmdet tells the two apart by the label alone: label i is a thing if i is less than the number of
    things, so things stand first.

    Args:
        given: Type of a panoptic data set that says its classes (``ADE20KPanopticDataset``); or the
            name of a vocabulary of the package or a file, see `load_vocabulary`; or the names, as
            a mapping with `things` and `stuff`.

    Returns:
        The vocabulary; label i is its class i.

    Raises:
        FileNotFoundError: There is no such data set, name or file.
        ValueError: The data set's type says no classes, a name is empty or doubled, or stuff
            stands before things.
    """
    if isinstance(given, Vocabulary):
        words = given
    elif isinstance(given, Mapping):
        words = name_classes(given.get('things', ()), given.get('stuff', ()))
    else:
        kind = DATASETS.get(given) if given.isidentifier() else None
        words = load_vocabulary(given) if kind is None else _vocabulary_of(kind)
    check_order(words)
    return words


def name_classes(
    things: Sequence[str], stuff: Sequence[str] = (), name: str = 'of the config'
) -> Vocabulary:
    """Make a vocabulary of names.

    Args:
        things: Names of countable objects.
        stuff: Names of the others.
        name: What to call it in errors.

    Raises:
        ValueError: There is no name, or one is empty or doubled.
    """
    for key, names in dict(things=things, stuff=stuff).items():
        if isinstance(names, str) or not all(isinstance(x, str) and x.strip() for x in names):
            raise ValueError(f'vocabulary {name}: expected {key} as names, got {names!r:.120}')
    try:
        return Vocabulary(name, (*things, *stuff), things=tuple(things))
    except ValueError as error:
        raise ValueError(f'vocabulary {name}: {error}') from error


def check_order(words: Vocabulary) -> None:
    """Refuse a vocabulary in which stuff stands before things.

    Raises:
        ValueError: Names the first thing that stands behind stuff.
    """
    things = set(words.things)
    late = [name for name in words.classes[len(things) :] if name in things]
    if late:
        raise ValueError(
            f'vocabulary {words.name}: thing {late[0]!r} stands behind stuff; mmdet tells things '
            'by their labels, list all things first'
        )


def _vocabulary_of(kind: type) -> Vocabulary:
    metainfo = getattr(kind, 'METAINFO', {})
    if not metainfo.get('classes') or 'thing_classes' not in metainfo:
        raise ValueError(
            f'the type {kind.__name__} does not say classes and thing_classes in its METAINFO; '
            'name the vocabulary by a file'
        )
    return Vocabulary(
        kind.__name__, tuple(metainfo['classes']), things=tuple(metainfo['thing_classes'])
    )
