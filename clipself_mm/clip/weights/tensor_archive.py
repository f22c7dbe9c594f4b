"""Reads the tensors of torch's zip files, those of `torch.save` and those of `torch.jit.save`.

`torch.load` compiles whatever looks like TorchScript, and believes the sizes that a pickle states.
Weights need neither: `data.pkl` names them, and each one's bytes are a file of their own. Both
kinds of archive are read alike, OpenAI's published TorchScript among them.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from clipself_mm.io.safe_pickle import Builder

from .tensor_pickle import TensorUnpickler, first

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
    'ComplexFloatStorage': torch.complex64,
    'ComplexDoubleStorage': torch.complex128,
}


def is_tensor_archive(path: Path) -> bool:
    """Whether torch would take a file for a zip, by its first bytes."""
    with path.open('rb') as file:
        return file.read(4) == b'PK\x03\x04'


def read_tensor_archive(path: Path) -> object:
    """Read an archive.

    Args:
        path: File written by `torch.save` or `torch.jit.save`.

    Returns:
        What was saved, on the CPU. Of a TorchScript module its tensors by their dotted names:
        parameters, buffers, and attributes that happen to be tensors.

    Raises:
        ForbiddenNameError: Its pickle names something that is no part of a checkpoint.
        ValueError, KeyError, OSError, zipfile.BadZipFile: The archive is broken.
    """
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        name = next((name for name in names if name.endswith('/data.pkl')), None)
        if name is None:
            raise ValueError('expected a zip with a data.pkl')
        root = name.removesuffix('data.pkl')
        order = f'{root}byteorder'
        if order in names and archive.read(order) != b'little':
            raise ValueError(f'expected bytes in the order "little", found {archive.read(order)}')
        with archive.open(name) as file:
            content = ArchiveUnpickler(file, archive, root).load()
    return dict(_tensors(content, '')) if isinstance(content, ScriptObject) else content


class ScriptObject:
    """A TorchScript module: its attributes and nothing that it could do."""

    attributes: dict

    def __setstate__(self, state: object) -> None:
        self.attributes = state if isinstance(state, dict) else {}


class ArchiveUnpickler(TensorUnpickler):
    """Unpickles tensors whose bytes lie in an archive, and TorchScript modules as `ScriptObject`.

    Args:
        file: The archive's `data.pkl`.
        archive: The archive.
        root: Folder of the archive in which `data.pkl` lies.
    """

    def __init__(self, file: object, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(file, encoding='utf-8')
        self.archive = archive
        self.root = root
        self.storages: dict[str, torch.UntypedStorage] = {}

    def find_class(self, module: str, name: str) -> object:
        """Give what the pickle may build with (see `TensorUnpickler.find_class`)."""
        if module.startswith('__torch__'):
            return ScriptObject
        if module == 'torch.jit._pickle':  # marks of typed lists and dictionaries
            return Builder(first)
        if module == 'torch' and name in _DTYPES:
            return name
        return super().find_class(module, name)

    def persistent_load(self, reference: tuple) -> torch.storage.TypedStorage:
        """Read the bytes of a tensor.

        Args:
            reference: ('storage', name of a storage class, file, device, number of elements).
        """
        _, kind, key, _, _ = reference
        if key not in self.storages:
            content = bytearray(self.archive.read(f'{self.root}data/{key}'))
            self.storages[key] = (
                torch.frombuffer(content, dtype=torch.uint8).untyped_storage()
                if content
                else torch.UntypedStorage(0)
            )
        return torch.storage.TypedStorage(
            wrap_storage=self.storages[key], dtype=_DTYPES[kind], _internal=True
        )


def _tensors(module: ScriptObject, prefix: str) -> Iterator[tuple[str, Tensor]]:
    for name, value in getattr(module, 'attributes', {}).items():
        if isinstance(value, Tensor):
            yield prefix + name, value
        elif isinstance(value, ScriptObject):
            yield from _tensors(value, f'{prefix}{name}.')
