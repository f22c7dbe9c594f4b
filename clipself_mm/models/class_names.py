"""Classes of a model from its config: a vocabulary, those of a data set, or a list."""

from __future__ import annotations

import logging
import re
import unicodedata
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache

from mmengine.logging import print_log
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
    """Class names of a text prompt. Doubled and near-equal names are logged as a warning.

    Args:
        text: A sequence of names, which are taken as they are; or names separated by full stops
            (as in mmdet's open-vocabulary detectors), commas, semicolons or line breaks. A point
            between digits does not separate, nor does anything in double quotes:
            ``'"St. Bernard", cat'`` are two names.

    Returns:
        The names in Unicode's form NFC, stripped, each once.

    Raises:
        TypeError: A name is no string.
        ValueError: There is no name.
    """
    if isinstance(text, str):
        parts: Sequence[str] = [quoted or plain for quoted, plain in _TEXT_NAME.findall(text)]
    else:
        parts = [*text]
        if not all(isinstance(part, str) for part in parts):
            raise TypeError(f'expected class names, a text or a list of strings, got {text!r:.80}')
    given = [' '.join(unicodedata.normalize('NFC', part).split()) for part in parts]
    names = list(dict.fromkeys(name for name in given if name))
    if not names:
        raise ValueError(
            f'expected class names, separated by full stops, commas or lines, got {text!r:.80}'
        )
    first_of: dict[str, str] = {}
    for name, count in Counter(given).items():
        if name and count > 1:
            _warn_once(f'the class name {name!r} is given {count} times and read once')
    for name in names:
        first = first_of.setdefault(re.sub(r'[\s_-]+', ' ', name.casefold()).rstrip('. '), name)
        if first != name:
            _warn_once(
                f'the class names {first!r} and {name!r} are nearly equal, so are their scores'
            )
    return names


_SEPARATORS = '.,;\n\r\u3002\uff0c\uff1b\u3001'  # with those of Chinese and Japanese
_TEXT_NAME = re.compile(
    rf'\s*"([^"\n]+)"\s*(?=[{_SEPARATORS}]|$)|((?:(?<=\d)\.(?=\d)|[^{_SEPARATORS}])+)'
)
"""A quoted name, or one between separators."""


@cache
def _warn_once(text: str) -> None:
    """A text prompt is read for each image; its warning is logged once."""
    print_log(text, logger='current', level=logging.WARNING)


def read_name_option(
    parser: ArgumentParser, option: str, values: Sequence[str] | None
) -> list[str] | None:
    """Class names of a tool's option; prints them, and ends the tool with one sentence if invalid.

    Args:
        parser: Parser of the tool.
        option: The option, declared with ``action='append'``.
        values: What was given, None for nothing. One value is a text prompt (see `read_names`) or
            a file (.txt, .json, see `load_vocabulary`); each of several values is one name.

    Returns:
        The names, None for nothing.
    """
    if values is None:
        return None
    try:
        if len(values) > 1:
            names = read_names(values)
        elif values[0].endswith(('.txt', '.json')):
            vocabulary = load_vocabulary(values[0])
            names = read_names(vocabulary.classes)
            if vocabulary.synonyms:
                print(f'{values[0]}: {option} does not use the synonyms')
        else:
            names = read_names(values[0])
    except (ValueError, OSError) as error:
        parser.error(f'{option}: {error}')
    print(f'{option}: {len(names)} class names: {" | ".join(names)}')
    return names
