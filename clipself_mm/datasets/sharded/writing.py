"""Writing of image files into WebDataset's tar shards, each shard atomically."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from clipself_mm.io.atomic_write import atomic_write, remove_partial_files
from clipself_mm.io.text_files import read_local_json

from .index import Shard, write_index
from .reading import IMAGE_SUFFIXES, webdataset_library

PLAN_NAME = 'plan.json'


def write_shards(
    root: str | Path,
    names: Sequence[str],
    folder: str | Path,
    size: int,
    seed: int | None = 0,
    progress: Callable[..., Iterable] | None = None,
) -> list[Shard]:
    """Copy image files unchanged into shards of equal size, and write their index.

    Each shard is written atomically. A killed call is continued by the same call: existing shards
    are not written again. A sample has the image under its file extension and its path as ``json``.

    Args:
        root: Folder the names are relative to.
        names: Paths of images.
        folder: Output folder, for ``000000.tar`` and so on, ``index.json`` and ``plan.json``.
        size: Number of images per shard.
        seed: Seed of the order of images, None for no shuffling. Training shuffles only shards and
            within windows, so shuffle here.
        progress: Progress bar, called like ``tqdm``.

    Raises:
        OSError: An image cannot be read, or the folder not written.
        ValueError: The folder has shards of other images, size or seed; or a file is not an image.
    """
    library = webdataset_library()
    if size < 1:
        raise ValueError(f'size is at least 1 image per shard, not {size}')
    if not names:
        raise ValueError(f'{root}: expected images, found none')
    for name in names:
        if _suffix(name) not in IMAGE_SUFFIXES:
            raise ValueError(f'{name}: expected an image ({", ".join(IMAGE_SUFFIXES)})')
    folder = Path(folder)
    _check_plan(folder / PLAN_NAME, names, size, seed)
    remove_partial_files(folder)
    order: np.ndarray = np.arange(len(names))
    if seed is not None:
        order = np.random.default_rng(seed).permutation(order)
    parts = [order[first : first + size] for first in range(0, len(names), size)]
    shown = parts if progress is None else progress(parts, desc='shards')
    shards = []
    for number, part in enumerate(shown):
        path = folder / f'{number:06d}.tar'
        shards.append(Shard(path.name, len(part)))
        if path.exists():
            continue
        with (
            atomic_write(path, durable=True) as partial,
            partial.open('wb') as file,
            library.TarWriter(file, mtime=0, encoder=False, user='', group='') as writer,
        ):
            for index in part:
                name = names[index]
                content = Path(root, name).read_bytes()
                origin = json.dumps(dict(path=name)).encode()
                writer.write({'__key__': f'{index:09d}', _suffix(name): content, 'json': origin})
    write_index(shards, folder)
    return shards


def _suffix(name: str) -> str:
    """File extension, lower case, without the dot."""
    return Path(name).suffix[1:].lower()


def _check_plan(path: Path, names: Sequence[str], size: int, seed: int | None) -> None:
    """Write the plan of the shards, or check that an existing plan is the same."""
    digest = hashlib.sha256('\n'.join(names).encode('utf-8', 'surrogateescape')).hexdigest()
    plan = dict(pictures=len(names), size=size, seed=seed, sha256_of_paths=digest)
    if path.exists():
        found = read_local_json(path, 'the plan of the shards')
        if found != plan:
            raise ValueError(
                f'{path}: the folder has shards of plan {found}, expected {plan}; give another '
                'folder or delete this one'
            )
        return
    if list(path.parent.glob('*.tar')):
        raise ValueError(
            f'{path.parent}: has shards without {PLAN_NAME}, not written by this tool; give '
            'another folder'
        )
    with atomic_write(path) as part:
        part.write_text(json.dumps(plan), encoding='utf-8')
