"""Vocabularies: the classes of a dataset and their split, one file per vocabulary.

Label i is class i of the vocabulary, whatever the order of categories in an annotation file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clipself_mm.io.text_files import read_text

from .coco_json import read_json

_FOLDER = Path(__file__).parents[1] / 'vocabularies'
_KEYS = ('classes', 'base', 'novel', 'things', 'ids')
_OTHER_NAMES = {'synonyms': 'synonym', 'aliases': 'alias'}


@dataclass(frozen=True)
class Vocabulary:
    """Classes in the order of their labels.

    Attributes:
        name: Name of the vocabulary.
        classes: All class names; label i is `classes[i]`.
        base: Classes with boxes in training; empty if the vocabulary has no split.
        novel: Classes without boxes in training; empty if the vocabulary has no split.
        things: Classes of countable objects; the others are stuff.
        ids: Category id of each class in the original annotation files, or empty.
        synonyms: Other names of some classes, for the text tower: the embedding of a class is the
            mean over its names.
        aliases: Other names of some classes in annotation files, not used by the text tower.

    Raises:
        ValueError: A name is listed twice or unknown, base and novel overlap or leave out a class,
            the number of ids is not that of classes, or a synonym or alias is empty or of two
            classes.
    """

    name: str
    classes: tuple[str, ...]
    base: tuple[str, ...] = ()
    novel: tuple[str, ...] = ()
    things: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Check the lists against each other."""
        if not self.classes:
            raise ValueError(f'it lists no class: classes={list(self.classes)}')
        for key in _KEYS:
            _check_unique(key, getattr(self, key))
        known = set(self.classes)
        for key in ('base', 'novel', 'things'):
            unknown = sorted(set(getattr(self, key)) - known)
            if unknown:
                raise ValueError(f'{key} has {unknown}, which are not among its classes')
        if self.base or self.novel:
            both = sorted(set(self.base) & set(self.novel))
            if both:
                raise ValueError(f'{both} are both base and novel')
            neither = [name for name in self.classes if name not in {*self.base, *self.novel}]
            if neither:
                raise ValueError(f'{neither} are neither base nor novel')
        if self.ids and len(self.ids) != len(self.classes):
            raise ValueError(f'it lists {len(self.classes)} classes, but {len(self.ids)} ids')
        for key in _OTHER_NAMES:
            _check_other_names(key, getattr(self, key), self.classes)


def is_name(value: object) -> bool:
    """Whether a value is a text that is not blank and can name a class."""
    return isinstance(value, str) and bool(value.strip()) and '\0' not in value


def _check_unique(key: str, names: Sequence) -> None:
    """Raise ValueError if a list has duplicates."""
    duplicates = sorted({name for name in names if names.count(name) > 1}, key=str)
    if duplicates:
        raise ValueError(f'{key} lists {duplicates} more than once')


def _check_other_names(
    key: str, names: Mapping[str, Sequence[str]], classes: Sequence[str]
) -> None:
    """Raise ValueError if a synonym (or alias) belongs to no class, to two, or to one twice."""
    known, kind = set(classes), _OTHER_NAMES[key]
    class_of: dict[str, str] = {}
    for name, others in names.items():
        if name not in known:
            raise ValueError(f'{key} has {name!r}, which is not among its classes')
        if not others or not all(map(is_name, others)):
            raise ValueError(f'{key} of {name!r} should be a list of names, got {others!r:.80}')
        for other in others:
            if other in known:
                raise ValueError(f'{kind} {other!r} of {name!r} is a class itself')
            if other in class_of:
                raise ValueError(
                    f'{kind} {other!r} of {name!r} is listed for {class_of[other]!r} already'
                )
            class_of[other] = name


def _check_types(key: str, entries: object) -> None:
    """Raise ValueError if a value of the json is not a list of non-empty names (or of ids)."""
    kind = int if key == 'ids' else str
    valid = isinstance(entries, list) and all(
        type(entry) is int if kind is int else is_name(entry) for entry in entries
    )
    if not valid:
        raise ValueError(f'{key} should be a list of {kind.__name__}, got {entries!r:.80}')


def _read(path: Path) -> dict:
    """Read a vocabulary file and check the types of its values."""
    if path.suffix == '.txt':
        return _read_lines(read_text(path, 'a vocabulary').splitlines())
    content = read_json(str(path))
    if not isinstance(content, dict) or 'classes' not in content:
        raise ValueError("expected an object with a list 'classes'")
    lists = {key: content[key] for key in _KEYS if key in content}
    for key, entries in lists.items():
        _check_types(key, entries)
    for key in _OTHER_NAMES:
        names = content.get(key, {})
        if not isinstance(names, dict) or not all(isinstance(x, list) for x in names.values()):
            raise ValueError(f'{key} should map a class to a list of names, got {names!r:.80}')
        lists[key] = names
    return lists


def _read_lines(lines: Sequence[str]) -> dict:
    """Parse one class per line, its synonyms after semicolons."""
    classes: list[str] = []
    synonyms: dict[str, list[str]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, *others = (part.strip() for part in line.split(';'))
        if not all((name, *others)):
            raise ValueError(f'line {number} has an empty name: {line!r:.80}')
        classes.append(name)
        if others:
            synonyms[name] = [*synonyms.get(name, []), *others]
    return dict(classes=classes, synonyms=synonyms)


def vocabulary_path(name_or_path: str | Path) -> Path:
    """Find the file of a vocabulary.

    Args:
        name_or_path: Name of a vocabulary of the package, or path of a .json or .txt file.

    Returns:
        Path of an existing file.

    Raises:
        FileNotFoundError: There is none.
    """
    path = Path(name_or_path)
    packaged = _FOLDER / f'{name_or_path}.json'
    if path.suffix not in ('.json', '.txt'):
        path = packaged
    if not path.is_file():
        names = sorted(file.stem for file in _FOLDER.glob('*.json'))
        raise FileNotFoundError(
            f'vocabulary {str(name_or_path)!r} is neither a .json or .txt file nor one of {names}'
        )
    return path


def load_vocabulary(name_or_path: str | Path) -> Vocabulary:
    """Read and check a vocabulary.

    Args:
        name_or_path: Name of a vocabulary of the package (`coco`, `coco_panoptic`, `ov_coco`,
            `ov_lvis`, ...); or a json file with `classes` and optionally `base`, `novel`,
            `things` (default: all classes), `ids`, `synonyms` and `aliases`; or a text file with
            one class per line, its synonyms after semicolons.

    Returns:
        The vocabulary, named after its file.

    Raises:
        FileNotFoundError: There is no such vocabulary.
        ValueError: The file is broken or contradicts itself.
    """
    path = vocabulary_path(name_or_path)
    try:
        content = _read(path)
        entries: dict[str, Any] = {
            key: {name: tuple(names) for name, names in content.pop(key, {}).items()}
            for key in _OTHER_NAMES
        }
        content.setdefault('things', content['classes'])
        entries |= {key: tuple(value) for key, value in content.items()}
        return Vocabulary(path.stem, **entries)
    except ValueError as error:
        raise ValueError(f'vocabulary {path}: {error}') from error


def class_names(aliases: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Invert the aliases of a vocabulary: alias to class name."""
    return {alias: name for name, others in aliases.items() for alias in others}
