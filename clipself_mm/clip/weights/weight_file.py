"""Opens a file of weights, whatever wrote it, without running anything that is in it.

Here a file becomes tensors in dictionaries; what their names mean is `layouts.py`'s business.
"""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from clipself_mm.io.safe_pickle import ForbiddenNameError

from .tensor_archive import is_tensor_archive, read_tensor_archive
from .tensor_pickle import TensorPickle


def read_weight_file(path: str | Path, trust_pickle: bool = False) -> dict:
    """Read safetensors, a file of `torch.save` (old or new) or a TorchScript archive.

    Args:
        path: The file.
        trust_pickle: Where the pickle names more than tensors, unpickle everything, which runs
            whatever code the file's author put there. For files one has made oneself; a pickled
            module becomes its state dict.

    Returns:
        The content, on the CPU. What was no tensor, container, number or text is a `Placeholder`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is broken, no dictionary, or names code in its pickle.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file; expected a checkpoint')
    try:
        content = _read(path, trust_pickle)
    except ForbiddenNameError as error:
        raise ValueError(
            f'{path}: expected nothing but tensors and what training code writes beside them; its '
            f'pickle names {error}, and nothing of it was run. If you trust the file and it is a '
            'CLIP, tools/convert_tower.py --trust-pickle turns it into one without code'
        ) from error
    except Exception as error:  # broken bytes fail in any way
        raise ValueError(f'{path}: not a complete checkpoint file: {error}') from error
    if isinstance(content, nn.Module):
        content = content.state_dict()
    if not isinstance(content, Mapping):
        raise ValueError(f'{path}: expected a dictionary, found a {type(content).__name__}')
    return dict(content)


def _read(path: Path, trust_pickle: bool) -> object:
    with path.open('rb') as file:
        start = file.read(9)
    if path.suffix == '.safetensors' or start[8:9] == b'{':
        return load_file(path)
    try:
        if is_tensor_archive(path):
            return read_tensor_archive(path)
        if tarfile.is_tarfile(path):  # torch would unpack it into a folder
            raise ValueError('expected a zip or a pickle, found a tar')
        return torch.load(path, map_location='cpu', weights_only=False, pickle_module=TensorPickle)
    except ForbiddenNameError:
        if not trust_pickle:
            raise
        return torch.load(path, map_location='cpu', weights_only=False)
