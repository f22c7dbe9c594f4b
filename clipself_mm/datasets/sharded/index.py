"""Index file with the number of images per shard: finds the shard of an image without opening any.

The key for the number of images is `pictures`.
"""

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
    """One shard of a dataset.

    Attributes:
        file: File name.
        images: Number of images.
    """

    file: str
    images: int


def read_index(path: str, backend_args: dict | None = None) -> list[Shard]:
    """Read an index file.

    Args:
        path: ``index.json``, read through MMEngine's backends.
        backend_args: Arguments of the backend.

    Returns:
        The shards with images, in the order of the file.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is broken or has no images.
    """
    try:
        text = fileio.get_text(path, backend_args=backend_args)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(
            f'{path}: no index of shards; write it with tools/make_shards.py (--index FOLDER for '
            'existing shards)'
        ) from error
    try:
        shards = [Shard(str(item['file']), int(item['pictures'])) for item in json.loads(text)]
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f'{path}: expected a list of {{"file": name, "pictures": number}}: {error!r}'
        ) from error
    if any(shard.images < 0 for shard in shards):
        raise ValueError(f'{path}: a shard has a negative number of images')
    shards = [shard for shard in shards if shard.images]
    if not shards:
        raise ValueError(f'{path}: no shard has images, all "pictures" are 0')
    return shards


def write_index(shards: Sequence[Shard], folder: str | Path) -> Path:
    """Write the index of a folder of shards atomically and return its path."""
    path = Path(folder, INDEX_NAME)
    lines = (json.dumps(dict(file=shard.file, pictures=shard.images)) for shard in shards)
    with atomic_write(path) as part:
        part.write_text('[\n' + ',\n'.join(lines) + '\n]\n', encoding='utf-8')
    return path


def index_folder(
    folder: str | Path,
    suffixes: Sequence[str] = IMAGE_SUFFIXES,
    progress: Callable[..., Iterable] | None = None,
) -> list[Shard]:
    """Count the images of every ``*.tar`` in a folder and write the index.

    Args:
        folder: A local folder.
        suffixes: See `shard_images`.
        progress: Progress bar, called like ``tqdm``.

    Returns:
        The shards, sorted by name.

    Raises:
        FileNotFoundError: The folder has no shards.
        ValueError: A shard is broken.
    """
    paths = sorted(Path(folder).glob('*.tar'))
    if not paths:
        raise FileNotFoundError(f'{folder}: expected shards *.tar, found none')
    shown = paths if progress is None else progress(paths, desc='shards')
    shards = [Shard(path.name, sum(1 for _ in shard_images(str(path), suffixes))) for path in shown]
    write_index(shards, folder)
    return shards
