"""Read the tensors of torch's zip files, from `torch.save` and from `torch.jit.save`.

`torch.load` compiles any file that looks like TorchScript, and does not check the sizes in a
pickle. Here only `data.pkl` and one file of bytes per storage are read. This covers OpenAI's
released TorchScript archives too. What is read is stored uncompressed, as torch writes it, and is
in total no larger than the file: a small file cannot take much memory.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from clipself_mm.io.safe_pickle import Builder

from .tensor_pickle import TENSORS, TensorUnpickler, first

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
    """Whether a file starts as a zip file, as `torch.load` checks it."""
    with path.open('rb') as file:
        return file.read(4) == b'PK\x03\x04'


def read_tensor_archive(path: Path, allowed: Mapping[str, object] = TENSORS) -> object:
    """Read an archive.

    Args:
        path: File written by `torch.save` or `torch.jit.save`.
        allowed: See `TensorUnpickler`.

    Returns:
        The saved object, on the CPU. For a TorchScript module its tensors by their dotted names:
        parameters, buffers and tensor attributes.

    Raises:
        ForbiddenNameError: The pickle refers to an object that is not allowed.
        ValueError, KeyError, OSError, zipfile.BadZipFile: The archive is broken.
    """
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        entries = StoredEntries(archive, path.stat().st_size)
        name = next((name for name in names if name.endswith('/data.pkl')), None)
        if name is None:
            raise ValueError('expected a zip with a data.pkl')
        root = name.removesuffix('data.pkl')
        order = f'{root}byteorder'
        if order in names and (found := entries.read(order)) != b'little':
            raise ValueError(f'expected byte order "little", found {bytes(found[:20])!r}')
        pickled = io.BytesIO(entries.read(name))
        content = ArchiveUnpickler(pickled, entries, root, allowed).load()
    return dict(_tensors(content, '')) if isinstance(content, ScriptObject) else content


class StoredEntries:
    """Entries of a zip file that are not compressed and do not overlap.

    Args:
        archive: The zip file.
        size: Its number of bytes.
    """

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self.archive = archive
        self.left = size

    def read(self, name: str, size: int | None = None) -> bytearray:
        """The bytes of an entry.

        Args:
            name: Name of the entry.
            size: Expected number of bytes.

        Raises:
            ValueError: The entry is compressed, has another size, or the entries together are
                larger than the file.
        """
        entry = self.archive.getinfo(name)
        if entry.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f'{name} is compressed; expected a file as torch.save writes it')
        if size is not None and entry.file_size != size:
            raise ValueError(f'{name} has {entry.file_size} bytes, its tensors need {size}')
        self.left -= entry.file_size
        if self.left < 0:
            raise ValueError(f'the entries up to {name} are larger than the file')
        content = bytearray(entry.file_size)
        with self.archive.open(entry) as file:
            view, start = memoryview(content), 0
            while part := file.read(_PART):
                view[start : start + len(part)] = part
                start += len(part)
        if start != len(content):
            raise ValueError(f'{name} is too short')
        return content


_PART = 2**24
"""Bytes read at once."""


class ScriptObject:
    """The attributes of a TorchScript module, without its code."""

    attributes: dict

    def __setstate__(self, state: object) -> None:
        self.attributes = state if isinstance(state, dict) else {}


class ArchiveUnpickler(TensorUnpickler):
    """Unpickles tensors whose bytes are in an archive, and TorchScript modules as `ScriptObject`.

    Args:
        file: `data.pkl` of the archive.
        entries: Entries of the archive.
        root: Folder of `data.pkl` in the archive.
        allowed: See `TensorUnpickler`.
    """

    def __init__(
        self, file: IO[bytes], entries: StoredEntries, root: str, allowed: Mapping[str, object]
    ) -> None:
        super().__init__(file, allowed, encoding='utf-8')
        self.entries = entries
        self.root = root
        self.storages: dict[str, torch.UntypedStorage] = {}

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        """Look a name up (see `TensorUnpickler.find_class`)."""
        if module.startswith('__torch__'):
            return ScriptObject
        if module == 'torch.jit._pickle':  # type tags of lists and dictionaries
            return Builder(first)
        if module == 'torch' and name in _DTYPES:
            return name
        return super().find_class(module, name)

    def persistent_load(self, reference: tuple) -> torch.storage.TypedStorage:
        """Read the bytes of a tensor.

        Args:
            reference: ('storage', name of a storage class, file, device, number of elements).
        """
        _, kind, key, _, numel = reference
        dtype = _DTYPES[kind]
        if key not in self.storages:
            content = self.entries.read(f'{self.root}data/{key}', numel * dtype.itemsize)
            self.storages[key] = (
                torch.frombuffer(content, dtype=torch.uint8).untyped_storage()
                if content
                else torch.UntypedStorage(0)
            )
        return torch.storage.TypedStorage(
            wrap_storage=self.storages[key], dtype=dtype, _internal=True
        )


def _tensors(module: ScriptObject, prefix: str) -> Iterator[tuple[str, Tensor]]:
    for name, value in getattr(module, 'attributes', {}).items():
        if isinstance(value, Tensor):
            yield prefix + name, value
        elif isinstance(value, ScriptObject):
            yield from _tensors(value, f'{prefix}{name}.')
