"""Read weights that transformers wrote in several files, by their index."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from clipself_mm.io.text_files import read_local_json

INDEX_ENDING = '.index.json'
_SHARD = re.compile(r'(.+)-\d+-of-\d+(\.safetensors|\.bin)')


def refuse_shard(path: Path) -> None:
    """Raise a ValueError for a file of which an index lies in its folder: it is a part."""
    match = _SHARD.fullmatch(path.name)
    if match and (index := path.with_name(f'{match[1]}{match[2]}{INDEX_ENDING}')).is_file():
        raise ValueError(f'{path}: is a part of the weights; give their index, {index}')


def read_shards(index: Path, read: Callable[[Path], Mapping]) -> dict:
    """Read all files that an index names.

    Args:
        index: ``model.safetensors.index.json`` or ``pytorch_model.bin.index.json``: under
            ``weight_map`` the file of each tensor, in the folder of the index.
        read: Reads one of the files.

    Returns:
        The tensors of all files.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The index is broken, names a file elsewhere, or differs from the files.
    """
    files = _read_index(index)
    state: dict = {}
    for name in sorted(set(files.values())):
        path = index.with_name(name)
        shard = read(path)
        differing = sorted(shard.keys() ^ {key for key, file in files.items() if file == name})
        if differing:
            raise ValueError(
                f'{path}: its tensors are not those that {index.name} lists; {len(differing)} '
                f'differ, the first: {differing[0]}'
            )
        state |= shard
    return state


def weights_size(path: Path) -> int:
    """Bytes of a weights file, or of all files that an index names; errors as in `read_shards`."""
    if not path.name.endswith(INDEX_ENDING):
        return path.stat().st_size
    return sum(path.with_name(name).stat().st_size for name in set(_read_index(path).values()))


def _read_index(index: Path) -> Mapping[str, str]:
    """Tensor to the name of its file, each of which exists."""
    content = read_local_json(index, 'the index of weights in several files')
    files = content.get('weight_map') if isinstance(content, Mapping) else None
    if not (isinstance(files, Mapping) and files and all(map(_is_name, files.values()))):
        raise ValueError(
            f'{index}: expected under "weight_map" for each tensor the name of a file in the same '
            'folder'
        )
    for name in sorted(set(files.values())):
        path = index.with_name(name)
        if not path.is_file():
            raise FileNotFoundError(f'{path}: no such file; {index.name} lists it')
    return files


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value not in ('', '.', '..') and not set(value) & set('/\\\0')
