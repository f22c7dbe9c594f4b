"""How many pictures each shard has: what a place in the whole is found by, without opening any."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine import fileio

from clipself_mm.io.atomic_write import atomic_write

from .reading import IMAGE_SUFFIXES, shard_images

INDEX_NAME = 'index.json'


@dataclass(frozen=True)
class Shard:
    """One shard of a data set.

    Attributes:
        file: Its file name.
        pictures: How many pictures it has.
    """

    file: str
    pictures: int


def read_index(path: str, backend_args: dict | None = None) -> list[Shard]:
    """Read an index file.

    Args:
        path: ``index.json``, read through MMEngine's backends.
        backend_args: Arguments of the backend.

    Returns:
        The shards in the order of the file, those without a picture left out.

    Raises:
        FileNotFoundError: There is none; says how it is made.
        ValueError: It is broken or lists no picture; names the file.
    """
    try:
        text = fileio.get_text(path, backend_args=backend_args)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(
            f'{path}: no index of shards; tools/make_shards.py writes it, with --index FOLDER for '
            'shards that are there already'
        ) from error
    try:
        shards = [Shard(str(item['file']), int(item['pictures'])) for item in json.loads(text)]
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f'{path}: expected a list of {{"file": name, "pictures": number}}: {error!r}'
        ) from error
    if any(shard.pictures < 0 for shard in shards):
        raise ValueError(f'{path}: a shard has a negative number of pictures')
    shards = [shard for shard in shards if shard.pictures]
    if not shards:
        raise ValueError(f'{path}: lists no picture')
    return shards


def write_index(shards: Sequence[Shard], folder: str | Path) -> Path:
    """Write the index of a folder of shards; it is whole or absent.

    Returns:
        Its path.
    """
    path = Path(folder, INDEX_NAME)
    lines = (json.dumps(dict(file=shard.file, pictures=shard.pictures)) for shard in shards)
    with atomic_write(path) as part:
        part.write_text('[\n' + ',\n'.join(lines) + '\n]\n', encoding='utf-8')
    return path


def index_folder(
    folder: str | Path,
    suffixes: Sequence[str] = IMAGE_SUFFIXES,
    progress: Callable[..., Iterable] | None = None,
) -> list[Shard]:
    """Count the pictures of every ``*.tar`` of a folder, reading each once, and write the index.

    Args:
        folder: A local folder.
        suffixes: See `shard_images`.
        progress: Shows the shards counted, called like ``tqdm``.

    Returns:
        What was written, sorted by name.

    Raises:
        FileNotFoundError: It has no shard; names it.
        ValueError: A shard is broken; names it.
    """
    paths = sorted(Path(folder).glob('*.tar'))
    if not paths:
        raise FileNotFoundError(f'{folder}: expected shards *.tar, found none')
    shown = paths if progress is None else progress(paths, desc='shards')
    shards = [Shard(path.name, sum(1 for _ in shard_images(str(path), suffixes))) for path in shown]
    write_index(shards, folder)
    return shards
