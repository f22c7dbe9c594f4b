"""Reads the tensors of a TorchScript archive, OpenAI's published form, without running its code.

`torch.jit.load` compiles what an archive brings along. Its weights need none of that: `data.pkl`
lists every module's attributes, and each tensor's bytes are a file of their own.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from .tensor_pickle import TensorUnpickler


def is_script_archive(path: Path) -> bool:
    """Whether a file is what `torch.jit.save` writes, by the constants that only it has."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith('/constants.pkl') for name in archive.namelist())


def read_script_archive(path: Path) -> dict[str, Tensor]:
    """Read a TorchScript archive.

    Args:
        path: File written by `torch.jit.save`.

    Returns:
        Tensors by their dotted names, on the CPU: parameters, buffers, and attributes that happen
        to be tensors.

    Raises:
        ForeignNameError: Its pickle names something that TorchScript does not write.
        KeyError, OSError, zipfile.BadZipFile: The archive is broken.
    """
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith('/data.pkl'))
        with archive.open(name) as file:
            root = ScriptUnpickler(file, archive, name.removesuffix('data.pkl')).load()
    return dict(_tensors(root, ''))


class ScriptObject:
    """A module of the archive: its attributes and nothing that it could do."""

    attributes: dict

    def __setstate__(self, state: object) -> None:
        self.attributes = state if isinstance(state, dict) else {}


class ScriptUnpickler(TensorUnpickler):
    """Unpickles the modules of an archive as `ScriptObject`.

    Args:
        file: Its `data.pkl`.
        archive: The archive.
        root: Folder of the archive in which `data.pkl` lies.
    """

    def __init__(self, file: object, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(file)
        self.archive = archive
        self.root = root
        self.storages: dict[str, torch.UntypedStorage] = {}

    def find_class(self, module: str, name: str) -> object:
        """Give what the pickle may build with (see `TensorUnpickler.find_class`)."""
        if module.startswith('__torch__'):
            return ScriptObject
        if module == 'torch.jit._pickle':
            return _first
        if module == 'torch' and name.endswith('Storage'):
            return name
        return super().find_class(module, name)

    def persistent_load(self, reference: tuple) -> torch.storage.TypedStorage:
        """Read the bytes of a tensor.

        Args:
            reference: ('storage', name of a storage class, file, device, number of elements).
        """
        _, kind, key, _, _ = reference
        if key not in self.storages:
            content = self.archive.read(f'{self.root}data/{key}')
            self.storages[key] = torch.frombuffer(
                bytearray(content) or bytearray(8), dtype=torch.uint8
            ).untyped_storage()
        return torch.storage.TypedStorage(
            wrap_storage=self.storages[key], dtype=_DTYPES[kind], _internal=True
        )


_DTYPES = {
    'DoubleStorage': torch.float64,
    'FloatStorage': torch.float32,
    'HalfStorage': torch.float16,
    'BFloat16Storage': torch.bfloat16,
    'LongStorage': torch.int64,
    'IntStorage': torch.int32,
    'ShortStorage': torch.int16,
    'CharStorage': torch.int8,
    'ByteStorage': torch.uint8,
    'BoolStorage': torch.bool,
}


def _first(value: object, *_: object) -> object:
    """TorchScript's marks of typed lists and dictionaries: the value is what counts."""
    return value


def _tensors(module: object, prefix: str) -> Iterator[tuple[str, Tensor]]:
    for name, value in getattr(module, 'attributes', {}).items():
        if isinstance(value, Tensor):
            yield prefix + name, value
        elif isinstance(value, ScriptObject):
            yield from _tensors(value, f'{prefix}{name}.')
