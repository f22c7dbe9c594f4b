"""Finding the images of a folder, and list files with one path per line."""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from mmengine import fileio

from clipself_mm.io.atomic_write import atomic_write

EXTENSIONS = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.tif', '.tiff')
"""File extensions of images, lower case; those of files may be in any case."""

COMMENT = '#'


def lower_extensions(extensions: Sequence[str]) -> tuple[str, ...]:
    """Check file extensions (each with its dot) and convert them to lower case."""
    if isinstance(extensions, str) or not all(end.startswith('.') for end in extensions):
        raise ValueError(f"extensions: expected a list like ['.jpg', '.png'], got {extensions!r}")
    return tuple(end.lower() for end in extensions)


def scan_images(
    folder: str | Path,
    extensions: Sequence[str] = EXTENSIONS,
    progress: Callable[..., Iterable] | None = None,
) -> list[str]:
    """Find all images in a folder and its sub-folders.

    Links to folders are followed, except links to a parent folder. Files `._NAME`, which macOS adds
    on foreign disks and in archives, are no images.

    Args:
        folder: A local folder.
        extensions: File extensions of images, with the dot, in any case.
        progress: Progress bar, called like ``tqdm``.

    Returns:
        Paths relative to the folder, with ``/``, sorted.

    Raises:
        NotADirectoryError: There is no such folder.
        ValueError: It has no image.
    """
    extensions = lower_extensions(extensions)
    if not os.path.isdir(folder):
        raise NotADirectoryError(f'{folder}: expected a folder of images')
    found: Iterable[str] = _walk(str(folder), '', extensions, ())
    if progress is not None:
        found = progress(found, desc='images', unit=' files')
    names = sorted(found)
    if not names:
        raise ValueError(f'{folder}: expected images ({", ".join(extensions)}), found none')
    return names


def _walk(
    folder: str, prefix: str, extensions: tuple[str, ...], parents: tuple[tuple[int, int], ...]
) -> Iterator[str]:
    """Yield the images below a folder; `parents` are device and inode of its parent folders."""
    status = os.stat(folder)
    here = (status.st_dev, status.st_ino)
    if here in parents:  # a link to a parent folder
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir():
                yield from _walk(entry.path, f'{name}/', extensions, (*parents, here))
            elif entry.name.lower().endswith(extensions) and not entry.name.startswith('._'):
                yield name


def write_listing(names: Sequence[str], path: str | Path) -> None:
    """Write a list file for `read_listing`.

    Args:
        names: Paths; ``./`` is put before a path that begins with ``#``.
        path: Output path (written atomically).

    Raises:
        ValueError: A path has a line break, or spaces at its start or end.
    """
    for name in names:
        if name != name.strip() or len(name.splitlines()) != 1:
            raise ValueError(
                f'{path}: expected paths without line breaks and outer spaces, got {name!r}'
            )
    lines = (f'./{name}' if name.startswith(COMMENT) else name for name in names)
    with (
        atomic_write(path) as part,
        part.open('w', encoding='utf-8', errors='surrogateescape', newline='\n') as file,
    ):
        file.writelines(f'{line}\n' for line in lines)


def read_listing(path: str, backend_args: dict | None = None) -> list[str]:
    """Read a list file: one path per line; empty lines and lines that begin with # are ignored.

    Args:
        path: The file, read through MMEngine's backends.
        backend_args: Arguments of the backend.

    Returns:
        The paths in the order of the file.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It has no path, or is not a text file.
    """
    try:
        content = fileio.get(path, backend_args=backend_args)
    except IsADirectoryError as error:
        raise IsADirectoryError(f'{path}: expected a list file, it is a folder') from error
    if b'\0' in content:
        raise ValueError(f'{path}: expected a text file with one path per line, it is binary')
    text = content.removeprefix(codecs.BOM_UTF8).decode('utf-8', 'surrogateescape')
    lines = (line.strip() for line in text.split('\n'))
    names = [line for line in lines if line and not line.startswith(COMMENT)]
    if not names:
        raise ValueError(f'{path}: expected one path per line, found none')
    return names
