"""Atomic file writes: write to a temporary file, then rename."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Suffix of temporary files; one that remains is from a running or killed process.
PARTIAL = '.clipself-partial'


@contextmanager
def atomic_write(path: str | Path, durable: bool = False) -> Iterator[Path]:
    """Let a block write a temporary file, then rename it to the output file.

    The temporary file is in the same folder and has a unique name: of two processes that write the
    same file, the last to finish wins. Its suffix differs, so that globs such as `*.pth` ignore
    it. `torch.save` stores the name of its path in the file and `numpy.save` appends a suffix; give
    them an open file instead of the path.

    Args:
        path: Output file; its folder is created.
        durable: Call fsync before the rename, so that the file survives a crash of the machine,
            not only of the process.

    Yields:
        Path of the temporary file. If the block raises, it is deleted and the old file stays.

    Raises:
        OSError: The disk is full, the folder is not writable, or nothing was written.
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
    """Write a compact JSON file atomically; its folder is created."""
    with atomic_write(path) as part:
        part.write_text(json.dumps(content, separators=(',', ':')), encoding='utf-8')


def remove_partial_files(folder: str | Path) -> list[Path]:
    """Delete temporary files of killed processes.

    Args:
        folder: Folder without its sub-folders; it may not exist.

    Returns:
        The deleted files.
    """
    leftovers = sorted(Path(folder).glob(f'*{PARTIAL}'))
    for path in leftovers:
        path.unlink(missing_ok=True)
    return leftovers


def _sync_folder(folder: Path) -> None:
    """Fsync a folder, if the system supports it."""
    if not hasattr(os, 'O_DIRECTORY'):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
