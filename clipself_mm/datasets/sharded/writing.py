"""Loose pictures into WebDataset's tar shards, one whole file after another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from clipself_mm.io.atomic_write import atomic_write, remove_partial_files

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
    """Copy pictures, as they are, into shards of equal numbers, and write their index.

    A shard is whole or absent. What a killed call left is continued: shards that are there are not
    written again. A sample has the picture under its ending and, as ``json``, its path.

    Args:
        root: Folder the names are relative to.
        names: Paths of pictures.
        folder: Where the shards go: ``000000.tar`` and so on, ``index.json``, ``plan.json``.
        size: Pictures of a shard.
        seed: Pictures are shuffled before they are dealt out, since training shuffles shards and
            within windows only; None keeps the order.
        progress: Shows the shards written, called like ``tqdm``.

    Returns:
        The shards.

    Raises:
        ImportError: `webdataset` is not installed.
        OSError: A picture cannot be read, or the folder not written.
        ValueError: The folder was begun with other pictures or another size or seed; or a file
            has no ending of a picture.
    """
    library = webdataset_library()
    if size < 1:
        raise ValueError(f'a shard has at least 1 picture, not {size}')
    if not names:
        raise ValueError(f'{root}: no picture to write')
    for name in names:
        if _suffix(name) not in IMAGE_SUFFIXES:
            raise ValueError(f'{name}: expected a picture ({", ".join(IMAGE_SUFFIXES)})')
    folder = Path(folder)
    _check_plan(folder / PLAN_NAME, names, size, seed)
    remove_partial_files(folder)
    order = np.arange(len(names))
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
    """The ending of a file name, lower case and without its dot."""
    return Path(name).suffix[1:].lower()


def _check_plan(path: Path, names: Sequence[str], size: int, seed: int | None) -> None:
    """Write down what the shards are made of, or see that it is what was written down before."""
    digest = hashlib.sha256('\n'.join(names).encode('utf-8', 'surrogateescape')).hexdigest()
    plan = dict(pictures=len(names), size=size, seed=seed, sha256_of_paths=digest)
    if path.exists():
        begun = json.loads(path.read_text(encoding='utf-8'))
        if begun != plan:
            raise ValueError(
                f'{path}: the shards here were begun as {begun}, not as {plan}; take another '
                'folder or delete this one'
            )
        return
    if list(path.parent.glob('*.tar')):
        raise ValueError(f'{path.parent}: holds shards that were not written by this tool')
    with atomic_write(path) as part:
        part.write_text(json.dumps(plan), encoding='utf-8')
