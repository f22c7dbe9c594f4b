"""Which classes a model is asked for: a vocabulary, those of a data set, or a list."""

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
        given: Type of a data set that lists its classes (`ADE20KDataset`); or the name of a
            vocabulary of the package or a file, see `load_vocabulary`; or the names, as a sequence
            or as a mapping with `things` and `stuff`.
        datasets: `DATASETS` of mmdet or mmseg, where types are looked up: both have an
            `ADE20K...Dataset`.
        needs: What the `METAINFO` of a data set has to list.

    Returns:
        The vocabulary; label i is its class i.

    Raises:
        FileNotFoundError: There is no such data set, name or file.
        ValueError: The type of the data set lacks what is needed, or a name is empty or doubled.
    """
    if isinstance(given, Vocabulary):
        return given
    if isinstance(given, Mapping):
        lists = {key: given.get(key, ()) for key in ('things', 'stuff')}
        for key, names in lists.items():
            if isinstance(names, str):
                raise ValueError(
                    f'vocabulary of the config: expected {key} as names, got {names!r}'
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
            f'the type {given} does not list {" and ".join(needs)} in its METAINFO; name the '
            'vocabulary by a file or list its classes'
        )
    return name_classes(metainfo['classes'], given, metainfo.get('thing_classes', ()))


def name_classes(
    classes: str | Sequence[str], name: str = 'of the config', things: Sequence[str] = ()
) -> Vocabulary:
    """Make a vocabulary of names.

    Args:
        classes: K names; a string is one name.
        name: What to call it in errors.
        things: Those of them that are countable objects.

    Raises:
        ValueError: There is no name, or one is empty or doubled.
    """
    classes = (classes,) if isinstance(classes, str) else tuple(classes)
    if not all(isinstance(label, str) and label.strip() for label in classes):
        raise ValueError(f'vocabulary {name}: expected class names, got {list(classes)!r:.120}')
    try:
        return Vocabulary(name, classes, things=tuple(things))
    except ValueError as error:
        raise ValueError(f'vocabulary {name}: {error}') from error


def read_names(text: str | Sequence[str]) -> list[str]:
    """Class names of a prompt as mmdet's open-vocabulary detectors take it.

    Args:
        text: Names separated by points, or a sequence of names.

    Returns:
        The names, stripped; doubled ones once.
    """
    names = text.split('.') if isinstance(text, str) else text
    return list(dict.fromkeys(name.strip() for name in names if name.strip()))
