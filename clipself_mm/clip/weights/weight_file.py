"""Read any kind of weights file without running code from it.

The result is tensors in dictionaries; `layouts.py` interprets their keys.
"""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from clipself_mm.io.safe_pickle import ForbiddenNameError
from clipself_mm.io.text_files import require_file

from .tensor_archive import is_tensor_archive, read_tensor_archive
from .tensor_pickle import TENSORS, TensorPickle
from .weight_shards import INDEX_ENDING, read_shards


def read_weight_file(path: str | Path, trust_pickle: bool = False) -> dict:
    """Read safetensors, a file of `torch.save` (old or new format) or a TorchScript archive.

    Args:
        path: The file, or the index of weights in several files (`read_shards`).
        trust_pickle: If the pickle holds more than tensors, unpickle everything, which runs any
            code in it. For files from a trusted source; a pickled module becomes its state dict.

    Returns:
        The content, on the CPU. Objects other than tensors, containers, numbers and text are
        `Placeholder`s.

    Raises:
        FileNotFoundError, IsADirectoryError: There is no such file.
        ValueError: The file is broken, is not a dictionary, or has code in its pickle.
    """
    path = Path(path)
    require_file(path, 'a checkpoint file (a folder with a CLIP is given as model="local-dir:...")')
    if path.name.endswith(INDEX_ENDING):
        return read_shards(path, lambda shard: read_weight_file(shard, trust_pickle))
    try:
        content = _read(path, trust_pickle)
    except ForbiddenNameError as error:
        raise ValueError(
            f'{path}: expected tensors and the usual values of a training checkpoint; its pickle '
            f'refers to {error}, which was not run. If you trust the file and it is a CLIP, '
            'convert it with tools/convert_tower.py --trust-pickle'
        ) from error
    except Exception as error:  # broken files raise many kinds of errors
        raise ValueError(f'{path}: not a valid checkpoint file: {error}') from error
    if isinstance(content, nn.Module):
        content = content.state_dict()
    if not isinstance(content, Mapping):
        raise ValueError(f'{path}: expected a dictionary, found a {type(content).__name__}')
    return content if isinstance(content, dict) else dict(content)


def _read(path: Path, trust_pickle: bool) -> object:
    try:
        return read_objects(path, TENSORS)
    except ForbiddenNameError:
        if not trust_pickle:
            raise
        return torch.load(path, map_location='cpu', weights_only=False)


def is_safetensors(path: Path) -> bool:
    """Whether a file is one of safetensors, by its name or its start."""
    with path.open('rb') as file:
        start = file.read(9)
    return path.suffix == '.safetensors' or start[8:9] == b'{'


def read_objects(path: Path, allowed: Mapping[str, object]) -> object:
    """Read a file of tensors in any format, and build no other objects than those of a table.

    Args:
        path: The file.
        allowed: See `TensorUnpickler`.

    Returns:
        The content, on the CPU.

    Raises:
        ForbiddenNameError: The pickle refers to another object.
        Exception: The file is broken.
    """
    if is_safetensors(path):
        return load_file(path)
    if is_tensor_archive(path):
        return read_tensor_archive(path, allowed)
    if tarfile.is_tarfile(path):  # torch would unpack it to disk
        raise ValueError('expected a zip or a pickle, found a tar')
    return torch.load(
        path, map_location='cpu', weights_only=False, pickle_module=TensorPickle(allowed)
    )
