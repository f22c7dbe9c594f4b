"""Index file with the number of images per shard: finds the shard of an image without opening any.

The key for the number of images is `pictures`.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine import fileio

from clipself_mm.io.atomic_write import atomic_write
from clipself_mm.io.text_files import parse_json

from .reading import IMAGE_SUFFIXES, shard_images

INDEX_NAME = 'index.json'
_SHOWN = 10
_MOST = 2**40
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shard:
    """One shard of a dataset.

    Attributes:
        file: File name.
        images: Number of images.
    """

    file: str
    images: int


def read_index(
    path: str, backend_args: dict | None = None, location: str | None = None
) -> list[Shard]:
    """Read an index file.

    Names of shards are data: they cannot leave the folder, and nothing in them is syntax of a
    shell or URL.

    Args:
        path: ``index.json``, read through MMEngine's backends.
        backend_args: Arguments of the backend.
        location: Where the shards are (`data_prefix.img`); None for the folder of the index.

    Returns:
        The shards with images, in the order of the file.

    Raises:
        FileNotFoundError, IsADirectoryError: The file does not exist.
        ValueError: It is broken, has no images, or a name that is not allowed.
    """
    try:
        content = fileio.get(path, backend_args=backend_args)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(
            f'{path}: no index of shards; write it with tools/make_shards.py (--index FOLDER for '
            'existing shards)'
        ) from error
    except IsADirectoryError as error:
        raise IsADirectoryError(
            f'{path}: expected the index of shards, it is a folder; give {path}/{INDEX_NAME}'
        ) from error
    items = parse_json(content, path)
    try:
        shards = [Shard(item['file'], item['pictures']) for item in items]
    except (TypeError, KeyError) as error:
        raise ValueError(
            f'{path}: expected a list of {{"file": name, "pictures": number}}: {error!r}'
        ) from error
    for shard in shards:
        if not isinstance(shard.file, str) or type(shard.images) is not int:
            raise ValueError(f'{path}: expected the name and number of images, found {shard}')
        if not 0 <= shard.images < _MOST:
            raise ValueError(f'{path}: {shard.file} has {shard.images} images')
    where = path if location is None else location
    remote = where.startswith('pipe:') or '://' in where
    for shard in shards:
        _check_name(shard.file, remote, path)
    shards = [shard for shard in shards if shard.images]
    if not shards:
        raise ValueError(f'{path}: no shard has images, all "pictures" are 0')
    return shards


def _check_name(name: str, remote: bool, path: str) -> None:
    """ValueError if a name is no file below the folder, or not plain text in a command or URL."""
    parts = re.split(r'[/\\]', name)
    if (
        {'', '.', '..'} & {part.strip() for part in parts}
        or ':' in parts[0]
        or not name.isprintable()
    ):
        raise ValueError(f'{path}: expected names of files below the folder, found {name!r}')
    if remote and not re.fullmatch(r'\w[\w.+=@,/-]*', name):
        raise ValueError(
            f'{path}: shard names in commands and URLs may have letters, digits and . _ + = @ , - /'
            f', found {name!r}; it was not run. Rename the shard'
        )


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

    A warning lists the members that end like an image and are not used.

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
    shards = []
    for path in shown:
        left_out: list[str] = []
        shards.append(Shard(path.name, sum(1 for _ in shard_images(str(path), suffixes, left_out))))
        if not shards[-1].images:
            _logger.warning('%s: has no image', path)
        if left_out:
            more = ', ...' if len(left_out) > _SHOWN else ''
            listed = ', '.join(left_out[:_SHOWN]) + more
            _logger.warning('%s: %d files are not used: %s', path, len(left_out), listed)
    write_index(shards, folder)
    return shards
