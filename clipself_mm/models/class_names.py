"""Classes of a model from its config: a vocabulary, those of a data set, or a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmengine.registry import Registry

from clipself_mm.datasets import Vocabulary, load_vocabulary


def find_vocabulary(
    given: str | Sequence[str] | Mapping | Vocabulary,
    datasets: Registry,
    needs: Sequence[str] = ('classes',),
) -> Vocabulary:
    """Find a vocabulary.

    Args:
        given: Type of a data set whose `METAINFO` lists classes (`ADE20KDataset`); or name or file
            of a vocabulary, see `load_vocabulary`; or class names, as a sequence or as a mapping
            with `things` and `stuff`.
        datasets: Registry for data set types: `DATASETS` of mmdet or of mmseg, since both have an
            `ADE20K...Dataset`.
        needs: Keys that the `METAINFO` of the data set must have.

    Returns:
        The vocabulary; label i is class i.

    Raises:
        FileNotFoundError: There is no such data set, vocabulary or file.
        ValueError: The data set has no such `METAINFO`, or a name is empty or not unique.
    """
    if isinstance(given, Vocabulary):
        return given
    if isinstance(given, Mapping):
        lists = {key: given.get(key, ()) for key in ('things', 'stuff')}
        for key, names in lists.items():
            if isinstance(names, str):
                raise ValueError(
                    f'vocabulary of the config: expected a list of names as {key}, got {names!r}'
                )
        return name_classes((*lists['things'], *lists['stuff']), things=lists['things'])
    if not isinstance(given, str):
        return name_classes(given)
    kind = datasets.get(given) if given.isidentifier() else None
    if kind is None:
        return load_vocabulary(given)
    metainfo = getattr(kind, 'METAINFO', {})
    if not metainfo.get('classes') or not set(needs) <= set(metainfo):
        raise ValueError(
            f'METAINFO of {given} lacks some of {", ".join(needs)}: give a vocabulary file or a '
            'list of classes instead'
        )
    return name_classes(metainfo['classes'], given, metainfo.get('thing_classes', ()))


def name_classes(
    classes: str | Sequence[str], name: str = 'of the config', things: Sequence[str] = ()
) -> Vocabulary:
    """Make a vocabulary from class names.

    Args:
        classes: K names; a string is one name.
        name: Name of the vocabulary, for errors.
        things: The classes that are things.

    Raises:
        ValueError: There is no name, or a name is empty or not unique.
    """
    classes = (classes,) if isinstance(classes, str) else tuple(classes)
    if not all(isinstance(label, str) and label.strip() for label in classes):
        raise ValueError(f'vocabulary {name}: expected class names, got {list(classes)!r:.120}')
    try:
        return Vocabulary(name, classes, things=tuple(things))
    except ValueError as error:
        raise ValueError(f'vocabulary {name}: {error}') from error


def read_names(text: str | Sequence[str]) -> list[str]:
    """Class names of a text prompt, in the format of mmdet's open-vocabulary detectors.

    Args:
        text: Names separated by full stops, or a sequence of names.

    Returns:
        The names, stripped, without duplicates.
    """
    names = text.split('.') if isinstance(text, str) else text
    return list(dict.fromkeys(name.strip() for name in names if name.strip()))
