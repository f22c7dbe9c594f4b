"""What tables and figures call the ways to a region's feature."""

from __future__ import annotations

_TITLES = {'': 'dense features', 'masked': 'masked attention'}


def route_title(prefix: str) -> str:
    """Name of a route by the prefix of its fields and scores.

    Args:
        prefix: ``masked_`` of ``masked_boxes``, empty for the pooled dense map.

    Returns:
        A known route's name, else the prefix in words.
    """
    words = prefix.strip('_')
    return _TITLES.get(words, words.replace('_', ' '))
