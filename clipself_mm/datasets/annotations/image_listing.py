"""Which pictures a folder holds, found once and kept as a list of one path a line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from mmengine import fileio

from clipself_mm.io.atomic_write import atomic_write

EXTENSIONS = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.tif', '.tiff')
"""Endings of pictures, lower case; a file's own may be in capitals."""

COMMENT = '#'


def lower_endings(extensions: Sequence[str]) -> tuple[str, ...]:
    """Endings of files in lower case.

    Raises:
        ValueError: They are no list of endings with their dot.
    """
    if isinstance(extensions, str) or not all(end.startswith('.') for end in extensions):
        raise ValueError(f"extensions is a list of endings as '.jpg', not {extensions!r}")
    return tuple(end.lower() for end in extensions)


def scan_images(
    folder: str | Path,
    extensions: Sequence[str] = EXTENSIONS,
    progress: Callable[..., Iterable] | None = None,
) -> list[str]:
    """Find all pictures in a folder and below it.

    Links to folders are followed, each folder at most once on its way down.

    Args:
        folder: A local folder.
        extensions: Endings that count, see `lower_endings`.
        progress: Shows the files found, called like ``tqdm``.

    Returns:
        Paths relative to the folder, with ``/``, sorted.

    Raises:
        NotADirectoryError: There is no such folder; names it.
        ValueError: It holds no picture; names folder and endings. Or the endings are none.
    """
    extensions = lower_endings(extensions)
    if not os.path.isdir(folder):
        raise NotADirectoryError(f'{folder}: expected a folder of pictures')
    found = _walk(str(folder), '', extensions, ())
    if progress is not None:
        found = progress(found, desc='pictures', unit=' files')
    names = sorted(found)
    if not names:
        raise ValueError(f'{folder}: expected pictures ({", ".join(extensions)}), found none')
    return names


def _walk(
    folder: str, prefix: str, extensions: tuple[str, ...], above: tuple[tuple[int, int], ...]
) -> Iterator[str]:
    """Yield the pictures below a folder; `above` are the folders on the way to it."""
    status = os.stat(folder)
    here = (status.st_dev, status.st_ino)
    if here in above:  # a link that leads back up
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir():
                yield from _walk(entry.path, f'{name}/', extensions, (*above, here))
            elif entry.name.lower().endswith(extensions):
                yield name


def write_listing(names: Sequence[str], path: str | Path) -> None:
    """Write a list file that `read_listing` gives back as it is.

    Args:
        names: Paths; one that begins like a comment gets ``./`` before it.
        path: The file; it is whole or absent.

    Raises:
        ValueError: A name cannot stand on a line of its own; names it.
    """
    for name in names:
        if name != name.strip() or len(name.splitlines()) != 1:
            raise ValueError(f'{path}: a list holds one path a line, which {name!r} is not')
    lines = (f'./{name}' if name.startswith(COMMENT) else name for name in names)
    with (
        atomic_write(path) as part,
        part.open('w', encoding='utf-8', errors='surrogateescape', newline='\n') as file,
    ):
        file.writelines(f'{line}\n' for line in lines)


def read_listing(path: str, backend_args: dict | None = None) -> list[str]:
    """Read a list file: one path a line; empty lines and lines that begin with # do not count.

    Args:
        path: The file, read through MMEngine's backends.
        backend_args: Arguments of the backend.

    Returns:
        The paths in the order of the file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It lists nothing, or is no text; names the file.
    """
    content = fileio.get(path, backend_args=backend_args)
    if b'\0' in content:
        raise ValueError(f'{path}: expected a text of one path a line, it is binary')
    lines = (line.strip() for line in content.decode('utf-8', 'surrogateescape').split('\n'))
    names = [line for line in lines if line and not line.startswith(COMMENT)]
    if not names:
        raise ValueError(f'{path}: expected one path a line, it lists none')
    return names
