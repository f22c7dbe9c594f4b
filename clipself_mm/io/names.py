"""Comparison of class names from different files."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_MAX_LISTED = 20


def name_key(name: str) -> str:
    """The form in which names are compared: Unicode's NFC, without outer blanks."""
    return unicodedata.normalize('NFC', name).strip()


def near_misses(wanted: Iterable[str], found: Iterable[str]) -> str:
    """A hint for an error: names that differ from wanted ones in case, width, "_", "-" or blanks.

    Args:
        wanted: Names of the vocabulary that were not found.
        found: Names of the file.

    Returns:
        Text to append to the error, empty if there is no such name.
    """
    by_folded = {_folded(name): name for name in found}
    pairs = [(by_folded[_folded(name)], name) for name in wanted if _folded(name) in by_folded]
    hints = [f'; found {similar!r}, the vocabulary has {name!r}' for similar, name in pairs]
    return ''.join(hints[:_MAX_LISTED]) + '; ...' * (len(hints) > _MAX_LISTED)


def _folded(name: str) -> str:
    """A name without what people spell differently."""
    wide = unicodedata.normalize('NFKC', name).strip().casefold()
    return ' '.join(re.split(r'[\s_-]+', wide))
