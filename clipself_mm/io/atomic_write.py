"""Atomic file writes: write to a temporary file, then rename."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .writer import is_abandoned, writer_name

#: Suffix of temporary files; one that remains is from a running or killed process.
PARTIAL = '.clipself-partial'


@contextmanager
def atomic_write(
    path: str | Path, durable: bool = False, size: int | None = None
) -> Iterator[Path]:
    """Let a block write a temporary file, then rename it to the output file.

    The temporary file is in the same folder and has a unique name, which tells its writer: of two
    processes that write the same file, the last to finish wins. Its suffix differs, so that globs
    such as `*.pth` ignore it. `torch.save` stores the name of its path in the file and `numpy.save`
    appends a suffix; give them an open file instead of the path.

    Args:
        path: Output file; its folder is created.
        durable: Call fsync before the rename, so that the file survives a crash of the machine,
            not only of the process.
        size: Bytes that the block writes if known, for the error of a full disk.

    Yields:
        Path of the temporary file. If the block raises, it is deleted and the old file stays.

    Raises:
        OSError: The disk is full (named with the bytes needed and free), the folder is not
            writable, or nothing was written.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    writer = f'{secrets.token_hex(4)}-{writer_name()}'
    partial = target.with_name(f'{target.name}.{writer}{PARTIAL}')
    try:
        yield partial
        if durable:
            with partial.open('r+b') as file:
                os.fsync(file.fileno())
        os.replace(partial, target)
    except Exception as error:
        raise_if_full(error, target, [partial], size)
        raise
    finally:
        partial.unlink(missing_ok=True)
    if durable:
        _sync_folder(target.parent)


def check_output(path: str | Path, name: str) -> None:
    """Check, before hours of work, that a file can be written after them.

    Args:
        path: Output file; its folder need not exist.
        name: The option that gives it, for errors.

    Raises:
        OSError: It is a folder, or its folder cannot be written.
    """
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(f'{name}: {path} is a folder, expected an output file')
    folder = next(folder for folder in target.absolute().parents if os.path.lexists(folder))
    if not folder.is_dir():
        raise NotADirectoryError(f'{name}: {path} cannot be written, {folder} is no folder')
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f'{name}: {path} cannot be written, {folder} is read-only')


def save_json(content: dict, path: str | Path) -> None:
    """Write a compact JSON file atomically; its folder is created."""
    with atomic_write(path) as part:
        part.write_text(json.dumps(content, separators=(',', ':')), encoding='utf-8')


def remove_partial_files(folder: str | Path) -> list[Path]:
    """Delete temporary files of killed processes; those of a living writer stay.

    Args:
        folder: Folder without its sub-folders; it may not exist.

    Returns:
        The deleted files.
    """
    leftovers = [path for path in sorted(Path(folder).glob(f'*{PARTIAL}')) if is_abandoned(path)]
    for path in leftovers:
        path.unlink(missing_ok=True)
    return leftovers


def raise_if_full(
    error: BaseException, target: Path, partials: Iterable[Path], size: int | None = None
) -> None:
    """Raise an error that names the file and its bytes if a write failed for want of space.

    Args:
        error: What the write raised; `torch.save` wraps the cause.
        target: The output file or folder.
        partials: The temporary files, written as far as possible.
        size: Bytes needed; None if unknown.

    Raises:
        OSError: A cause of `error` is a full disk or quota.
    """
    cause: BaseException | None = error
    full = (errno.ENOSPC, errno.EDQUOT)
    while cause is not None and not (isinstance(cause, OSError) and cause.errno in full):
        cause = cause.__cause__ or cause.__context__
    if not isinstance(cause, OSError):
        return
    written = sum(path.stat().st_size for path in partials if path.is_file())
    free = written + shutil.disk_usage(target.parent).free
    needed = f'more than {written:,}' if size is None else f'{size:,}'
    raise OSError(
        cause.errno,
        f'No space left for {target}: it needs {needed} bytes, {free:,} are free in '
        f'{target.parent}',
    ) from error


def _sync_folder(folder: Path) -> None:
    """Fsync a folder, if the system supports it."""
    if not hasattr(os, 'O_DIRECTORY'):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
