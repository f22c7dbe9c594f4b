"""Checks that files and folders exist and are complete."""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mmengine.fileio import join_path
from mmengine.utils import is_abs
from safetensors import SafetensorError, safe_open

from clipself_mm.clip.weights.tower_source import package_path

from ..annotations.image_listing import EXTENSIONS, read_listing, scan_images
from ..image_files.find_respelt import find_respelt
from ..sharded.index import read_index

_SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """Result of the check of one file or folder.

    Attributes:
        path: Its path, relative to the current folder if not absolute.
        problem: What is wrong; empty if nothing is.
        note: What was found; empty if there is a problem.
        doubt: What a run would warn of.
    """

    path: str
    problem: str = ''
    note: str = ''
    doubt: str = ''


def strip_path(error: Exception, path: str) -> str:
    """The message of an error without the path at its start."""
    return str(error).removeprefix(path).lstrip(': ')


def joined_path(root: str | None, path: str) -> str:
    """Join a path to a `data_root` as mmengine's datasets do."""
    return join_path(root, path) if root and not is_abs(path) else path


def check_folder(folder: str, names: list[str] | None = None) -> Finding:
    """Check that a folder has the expected files and none is empty.

    Args:
        folder: Folder of images or segment maps.
        names: Expected paths relative to the folder; None if unknown: the folder must not be empty.

    Returns:
        One finding, with the number of missing and empty files and the first names.
    """
    if not Path(folder or '.').is_dir():
        expected = f', expected with {len(names)} files' if names else ''
        return Finding(folder, f'is missing{expected}')
    if names is None:
        filled = any(True for _ in os.scandir(folder or '.'))
        return Finding(folder, note='folder') if filled else Finding(folder, 'is an empty folder')
    sizes: dict[str, dict[str, int]] = {}
    bad: list[tuple[str, str]] = []
    for name in names:
        parent, file = os.path.split(name)
        if parent not in sizes:
            sizes[parent] = _sizes(Path(folder, parent))
        size = sizes[parent].get(file)
        if not size:
            bad.append((name, 'missing' if size is None else 'empty'))
    respelt: set[str] = set()
    hint = ''
    for name, why in bad:
        found = find_respelt(os.path.join(folder, name), os.path.isfile)
        if why == 'missing' and (found is None or not found.same):  # the others are hardly better
            hint = f'; there is {found.name}' if found else ''
            break
        if why == 'missing':
            respelt.add(name)
    bad = [(name, why) for name, why in bad if name not in respelt]
    if not bad:
        more = f', {len(respelt)} in another spelling' if respelt else ''
        return Finding(folder, note=f'{len(names)} files{more}')
    counts = ' and '.join(f'{n} {why}' for why, n in Counter(why for _, why in bad).items())
    first = ', '.join(name for name, _ in bad[:_SHOWN])
    more = ', ...' if len(bad) > _SHOWN else ''
    return Finding(folder, f'{counts} of {len(names)} files: {first}{more}{hint}')


def _sizes(folder: Path) -> dict[str, int]:
    """File name -> bytes of one folder; {} if it does not exist."""
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as entries:
        return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}


def check_weights(path: str) -> Iterator[Finding]:
    """Check that a file of weights or embeddings exists and is not truncated; loads no tensors."""
    if '://' in path:
        return
    file = Path(path)
    if path.startswith('pkg:'):
        try:
            file = package_path(path.removeprefix('pkg:'))
        except FileNotFoundError as error:
            yield Finding(path, strip_path(error, path))
            return
    if not file.is_file():
        yield Finding(path, 'is missing')
        return
    size = file.stat().st_size
    problem = '' if size else 'is empty'
    if size and file.suffix == '.safetensors':
        try:
            with safe_open(file, framework='pt'):
                pass
        except SafetensorError as error:
            problem = f'is not a complete safetensors file ({error})'
    elif size:
        with file.open('rb') as stream:
            archive = stream.read(2) == b'PK'  # a zip file, written by torch.save or np.savez
        if archive and not zipfile.is_zipfile(file):
            problem = f'is too short: {size} bytes without the end of the archive'
    yield Finding(path, problem, '' if problem else f'{size / 2**20:.1f} MiB')


def check_source(dataset: Mapping) -> Iterator[Finding]:
    """Check the files of `UnlabelledImages` or `ShardedImages`; opens no image and no shard.

    Args:
        dataset: Config with `source` and perhaps `data_root`, `data_prefix`, `extensions`.

    Yields:
        One finding for a folder of images. For a list or index one finding, and one for the folder
        of its files unless that is a URL or command.
    """
    path = joined_path(dataset.get('data_root'), dataset['source'])
    prefix = (dataset.get('data_prefix') or {}).get('img')
    if '://' in path:
        yield Finding(path, note='not checked, not a local file')
        return
    sharded = dataset.get('type') == 'ShardedImages'
    extensions = dataset.get('extensions') or EXTENSIONS
    try:
        if not sharded and os.path.isdir(path):
            yield Finding(path, note=f'{len(scan_images(path, extensions))} images')
            return
        if sharded:
            index = read_index(path, location=prefix)
            names = [shard.file for shard in index]
            note = f'{sum(shard.images for shard in index)} images in {len(names)} shards'
        else:
            names = read_listing(path)
            note = f'{len(names)} images'
    except (OSError, ValueError) as error:
        from_system = isinstance(error, FileNotFoundError) and error.errno
        yield Finding(path, 'is missing' if from_system else strip_path(error, path))
        return
    yield Finding(path, note=note)
    if prefix is not None and prefix.startswith('pipe:'):
        return
    if sharded and prefix is None:
        folder = str(PurePosixPath(path).parent)
    else:
        folder = joined_path(dataset.get('data_root'), prefix or '')
    if '://' not in folder:
        yield check_folder(folder, names)
