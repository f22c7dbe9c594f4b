"""The name that a misspelt one may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest_in_words(name: str, names: Iterable[str]) -> str:
    """``, nearest is NAME`` for the nearest of some names; empty if none is near."""
    near = get_close_matches(name, list(names), n=1)
    return f', nearest is {near[0]}' if near else ''
