"""Files that exist under another spelling of their name."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import unquote


class Respelt(NamedTuple):
    """An existing file found in place of a missing one.

    Attributes:
        name: Its name.
        same: Whether the two spellings mean the same file (separators, Unicode forms): it may be
            read. Otherwise the name is a hint for an error.
    """

    name: str
    same: bool


def find_respelt(name: str, exists: Callable[[str], bool]) -> Respelt | None:
    r"""Find the file that is meant by a name which does not exist.

    The same file: backslashes as separators (``images\1\a.jpg``), and the composed or decomposed
    form of accented letters (Unicode NFC, NFD). Hints: ``%20`` and the like, a query (``?d=1``),
    blanks around a name, capitals in the ending (``.JPG``), ``.jpeg`` for ``.jpg``.

    Args:
        name: A path, absolute or relative, as `exists` takes it.
        exists: Whether a file exists; the `__contains__` of a set of names works.

    Returns:
        The first existing spelling, None if there is none.
    """
    same = list(_same_file(name))
    for spelling in same:
        if exists(spelling):
            return Respelt(spelling, same=True)
    for other in _other_names(same[0]):
        for spelling in _same_file(other):
            if exists(spelling):
                return Respelt(spelling, same=False)
    return None


def _same_file(name: str) -> Iterator[str]:
    """The name with slashes; then its last part, last two parts, ..., in both Unicode forms."""
    name = name.replace('\\', '/')
    yield name
    if name.isascii():
        return
    parts = name.split('/')
    for start in reversed(range(len(parts))):
        head, tail = parts[:start], '/'.join(parts[start:])
        for form in ('NFC', 'NFD'):
            yield '/'.join([*head, unicodedata.normalize(form, tail)])


def _other_names(name: str) -> Iterator[str]:
    """Names that differ in what other machines add: escapes, queries, blanks, endings."""
    bases = [name, name.partition('?')[0], unquote(name), unquote(name.partition('?')[0])]
    bases += ['/'.join(part.strip() for part in base.split('/')) for base in bases]
    for base in dict.fromkeys(bases):
        yield base
        stem, dot, ending = base.rpartition('.')
        endings = {'jpg': ['jpg', 'jpeg'], 'jpeg': ['jpeg', 'jpg'], 'tif': ['tif', 'tiff']}
        if dot and '/' not in ending:
            for other in endings.get(ending.lower(), [ending.lower()]):
                yield from (stem + dot + e for e in (other, other.upper(), other.title()))
