"""Says whether the pictures of a data set without annotation are there: folder, list or shards."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from .checked_files import Finding, check_folder, complaint, joined_path
from .image_listing import EXTENSIONS, read_listing, scan_images
from .sharded_index import read_index


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
