"""What there is to say about one file or folder on disk, without reading what it means."""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmengine.fileio import join_path
from mmengine.utils import is_abs
from safetensors import SafetensorError, safe_open

_SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """One file or folder a config needs.

    Attributes:
        path: As the config means it: relative paths count from the current folder.
        problem: What is wrong with it; empty if nothing is.
        note: What was found, for a good one.
    """

    path: str
    problem: str = ''
    note: str = ''


def complaint(error: Exception, path: str) -> str:
    """What an error says is wrong with a file, without the file's path in front."""
    return str(error).removeprefix(path).lstrip(': ')


def joined_path(root: str | None, path: str) -> str:
    """The path as mmengine's data sets join it to their `data_root`."""
    return join_path(root, path) if root and not is_abs(path) else path


def check_folder(folder: str, names: list[str] | None = None) -> Finding:
    """Check that a folder holds the files listed for it, none of them empty.

    Args:
        folder: Images or segment maps.
        names: Paths relative to the folder; None if no list is known, then it must not be empty.

    Returns:
        One finding, which names the first missing files and says how many there are.
    """
    if not Path(folder or '.').is_dir():
        expected = f', expected with {len(names)} files' if names else ''
        return Finding(folder, f'is missing{expected}')
    if names is None:
        filled = any(True for _ in os.scandir(folder or '.'))
        return Finding(folder, note='folder') if filled else Finding(folder, 'is an empty folder')
    sizes: dict[str, dict[str, int]] = {}
    wrong: list[tuple[str, str]] = []
    for name in names:
        parent, file = os.path.split(name)
        if parent not in sizes:
            sizes[parent] = _sizes(Path(folder, parent))
        size = sizes[parent].get(file)
        if not size:
            wrong.append((name, 'missing' if size is None else 'empty'))
    if not wrong:
        return Finding(folder, note=f'{len(names)} files')
    counts = ' and '.join(f'{n} {why}' for why, n in Counter(why for _, why in wrong).items())
    first = ', '.join(name for name, _ in wrong[:_SHOWN])
    more = ', ...' if len(wrong) > _SHOWN else ''
    return Finding(folder, f'{counts} of {len(names)} files: {first}{more}')


def _sizes(folder: Path) -> dict[str, int]:
    """File name -> bytes, for one folder in one pass; {} if it is not there."""
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as entries:
        return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}


def check_weights(path: str) -> Iterator[Finding]:
    """Check a file of weights or embeddings: there and not cut short, without loading tensors."""
    if '://' in path:
        return
    file = Path(path)
    if not file.is_file():
        yield Finding(path, 'is missing')
        return
    size = file.stat().st_size
    problem = '' if size else 'is empty'
    if size and file.suffix == '.safetensors':
        try:
            with safe_open(path, framework='pt'):
                pass
        except SafetensorError as error:
            problem = f'is no whole safetensors file ({error})'
    elif size:
        with file.open('rb') as stream:
            archive = stream.read(2) == b'PK'  # what torch.save and np.savez write
        if archive and not zipfile.is_zipfile(file):
            problem = f'is cut short: {size} bytes without the end of the archive'
    yield Finding(path, problem, '' if problem else f'{size / 2**20:.1f} MiB')
