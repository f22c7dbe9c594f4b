"""Warnings that would otherwise come for each of many images."""

from __future__ import annotations

import logging

from mmengine.logging import print_log

_logged: set[str] = set()


def log_once(kind: str, text: str) -> None:
    """Log a warning unless this process has logged one of its kind.

    Args:
        kind: What the warning is about; a word.
        text: The warning, which names the first file.
    """
    if kind not in _logged:
        _logged.add(kind)
        print_log(f'{text} (logged once)', logger='current', level=logging.WARNING)
