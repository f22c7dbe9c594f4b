"""Files that are, at any moment, either the old one or the new one, whole."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Ending of a file that is being written; what bears it belongs to a run that is, or was killed.
PARTIAL = '.clipself-partial'


@contextmanager
def atomic_write(path: str | Path, durable: bool = False) -> Iterator[Path]:
    """Give a block another path to write to; what it wrote takes the place of the file in one step.

    The other path is in the same folder and belongs to this block alone: of two processes that
    write the same file, the last to finish wins. It does not end as the file does, so that nobody
    who looks for `*.pth` finds a piece. `torch.save` puts the name of its path into the file and
    `numpy.save` appends an ending; give them the opened file instead.

    Args:
        path: The file; its folder is made.
        durable: Force the bytes to disk before the old file goes, so that the machine, too, may
            fail at any moment; otherwise only the process may.

    Yields:
        The path to write to. If the block fails, it is deleted and the old file stays.

    Raises:
        OSError: The disk is full, the folder not writable, or nothing was written.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f'{target.name}.{secrets.token_hex(4)}{PARTIAL}')
    try:
        yield partial
        if durable:
            with partial.open('r+b') as file:
                os.fsync(file.fileno())
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    if durable:
        _sync_folder(target.parent)


def save_json(content: dict, path: str | Path) -> None:
    """Write a JSON file without blanks, atomically.

    Args:
        content: What to write.
        path: The file; its folder is made.
    """
    with atomic_write(path) as part:
        part.write_text(json.dumps(content, separators=(',', ':')), encoding='utf-8')


def remove_partial_files(folder: str | Path) -> list[Path]:
    """Delete what a killed run left half written.

    Args:
        folder: Folder to clean, not its sub-folders; it need not exist.

    Returns:
        The files deleted.
    """
    leftovers = sorted(Path(folder).glob(f'*{PARTIAL}'))
    for path in leftovers:
        path.unlink(missing_ok=True)
    return leftovers


def _sync_folder(folder: Path) -> None:
    """Force a folder's list of names to disk, where the system can."""
    if not hasattr(os, 'O_DIRECTORY'):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
