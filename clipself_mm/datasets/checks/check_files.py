"""Whether the files and folders that a config names are there and whole."""

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

from ..annotations.image_listing import EXTENSIONS, read_listing, scan_images
from ..sharded.index import read_index

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


def check_source(dataset: Mapping) -> Iterator[Finding]:
    """Check what `UnlabelledImages` or `ShardedImages` reads.

    Pictures and shards are looked up, not opened.

    Args:
        dataset: Its config, with `source` and perhaps `data_root`, `data_prefix`, `extensions`.

    Yields:
        One finding for a folder of pictures; for a list or an index one, and one for the folder
        that holds what it names. URLs and commands are not followed.
    """
    path = joined_path(dataset.get('data_root'), dataset['source'])
    place = (dataset.get('data_prefix') or {}).get('img')
    if '://' in path:
        yield Finding(path, note='not checked, not a local file')
        return
    shards = dataset.get('type') == 'ShardedImages'
    extensions = dataset.get('extensions') or EXTENSIONS
    try:
        if not shards and os.path.isdir(path):
            yield Finding(path, note=f'{len(scan_images(path, extensions))} images')
            return
        if shards:
            index = read_index(path)
            names = [shard.file for shard in index]
            note = f'{sum(shard.pictures for shard in index)} images in {len(names)} shards'
        else:
            names = read_listing(path)
            note = f'{len(names)} images'
    except (OSError, ValueError) as error:
        system = isinstance(error, FileNotFoundError) and error.errno  # no words of ours
        yield Finding(path, 'is missing' if system else complaint(error, path))
        return
    yield Finding(path, note=note)
    if place is not None and place.startswith('pipe:'):
        return
    beside = shards and place is None
    folder = (
        PurePosixPath(path).parent if beside else joined_path(dataset.get('data_root'), place or '')
    )
    if '://' not in str(folder):
        yield check_folder(str(folder), names)
