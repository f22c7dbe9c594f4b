"""On-disk cache of teacher embeddings, an LMDB environment that several processes share."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

DATA_NAME = 'data.mdb'  # the name that LMDB gives it
METADATA_KEY = b'metadata'
MAP_SIZE = 2**40  # largest size of a cache; reserves address space only, no disk space
CRC_BYTES = 4

_environments: dict[Path, Any] = {}


def _close_environments() -> None:
    while _environments:
        _environments.popitem()[1].close()


if hasattr(os, 'register_at_fork'):  # an open LMDB environment must not cross a fork
    os.register_at_fork(before=_close_environments)


@dataclass(frozen=True)
class CacheMetadata:
    """Metadata of a cache, the same for all its embeddings.

    Attributes:
        teacher: Digest of the teacher's weights and modules.
        precision: Dtype of the teacher's matrix products, for example `float32`.
        crops: Config of the crops, see `crop_recipe`.
        dim: Channels D of an embedding.
        dtype: Dtype of the embeddings on disk, `float32` or `float16`.
        format: Version of the layout.
    """

    teacher: str
    precision: str
    crops: str
    dim: int
    dtype: str = 'float32'
    format: int = 1


class EmbeddingCache:
    """Embeddings of crops by key.

    A batch is added in one transaction: if the process is killed, the batch is stored completely or
    not at all. Reads go through a memory map, whose pages the system frees when memory is short.

    Args:
        folder: Folder of the cache on a local disk: LMDB does not work on network file systems. It
            need not exist.

    Raises:
        OSError: In all methods: a file is damaged, is not a teacher cache, cannot be opened, or the
            disk is full.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def claim(self, metadata: CacheMetadata) -> None:
        """Create the cache with this metadata, or check that the existing cache has it.

        Raises:
            ValueError: The metadata differs.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._transaction(write=True) as transaction:
            found = self._metadata(transaction)
            if found is None:
                found = metadata
                transaction.put(METADATA_KEY, json.dumps(asdict(metadata)).encode())
        for name, value in asdict(metadata).items():
            if getattr(found, name) != value:
                raise ValueError(
                    f'the teacher cache {self.folder} has {name} {getattr(found, name)!r}, '
                    f'expected {value!r}: give another folder, or delete this one'
                )

    def put(self, keys: Sequence[bytes], embeddings: np.ndarray) -> None:
        """Add embeddings to a claimed cache; an existing key keeps its embedding.

        Args:
            keys: Keys of R crops.
            embeddings: Shape (R, D).
        """
        with self._transaction(write=True) as transaction:
            metadata = self._metadata(transaction)
            if metadata is None:
                raise ValueError(f'the teacher cache {self.folder} has no metadata: call claim')
            rows = np.ascontiguousarray(embeddings, _on_disk(metadata))
            if rows.shape != (len(keys), metadata.dim):
                raise ValueError(f'expected {len(keys)} x {metadata.dim}, got {rows.shape}')
            for key, row in zip(keys, rows, strict=True):
                content = row.tobytes()
                transaction.put(key, _crc(key, content) + content, overwrite=False)

    def get(self, keys: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """Look up embeddings.

        Args:
            keys: Keys of R crops.

        Returns:
            The F embeddings found, float32 of shape (F, D) in the order of the keys (D is 0 if
            there is no cache), and which keys were found, bool of shape (R).
        """
        metadata: CacheMetadata | None = None
        values: list[bytes | None] = [None] * len(keys)
        if (self.folder / DATA_NAME).exists():
            with self._transaction() as transaction:
                metadata = self._metadata(transaction)
                values = [transaction.get(key) for key in keys]
        found = np.array([value is not None for value in values], bool)
        if metadata is None:
            return np.empty((0, 0), np.float32), found
        rows = np.empty((found.sum(), metadata.dim), np.float32)
        present = [(key, value) for key, value in zip(keys, values, strict=True) if value]
        for row, (key, value) in zip(rows, present, strict=True):
            content = value[CRC_BYTES:]
            if value[:CRC_BYTES] != _crc(key, content):
                raise OSError(f'{self.folder / DATA_NAME} is damaged: delete the folder')
            row[:] = np.frombuffer(content, _on_disk(metadata))
        return rows, found

    def _metadata(self, transaction: Any) -> CacheMetadata | None:  # noqa: ANN401
        """Read the metadata; None if the environment is empty."""
        content = transaction.get(METADATA_KEY)
        if content is None and not transaction.cursor().first():
            return None
        try:
            metadata = CacheMetadata(**json.loads(content))
        except (TypeError, ValueError):  # missing, or not the metadata of a cache
            metadata = None
        if metadata is None or metadata.format != CacheMetadata.format:
            raise OSError(
                f'{self.folder / DATA_NAME} is not a teacher cache of format {CacheMetadata.format}'
            )
        return metadata

    @contextmanager
    def _transaction(self, write: bool = False) -> Iterator[Any]:
        lmdb = lmdb_library()
        try:
            with _environment(self.folder.resolve()).begin(write=write) as transaction:
                yield transaction
        except lmdb.Error as error:
            raise OSError(f'the teacher cache {self.folder} cannot be used: {error}') from error


def lmdb_library() -> ModuleType:
    """Import `lmdb`; the ImportError says how to install it."""
    try:
        import lmdb
    except ImportError as error:
        raise ImportError(
            'a teacher cache needs the `lmdb` library: pip install "clipself_mm[cache]"'
        ) from error
    return lmdb


def _environment(folder: Path) -> Any:  # noqa: ANN401
    """The environment of a folder; LMDB allows one per folder and process."""
    if folder not in _environments:
        # Without metasync, a crash of the machine may lose the last batch but damages nothing.
        environment = lmdb_library().open(
            str(folder), map_size=MAP_SIZE, metasync=False, max_readers=1024
        )
        pages, path = environment.info()['last_pgno'] + 1, folder / DATA_NAME
        if path.stat().st_size < pages * environment.stat()['psize']:  # reading raises SIGBUS
            environment.close()
            raise OSError(f'{path} is truncated: delete the folder')
        environment.reader_check()  # frees the slots of killed processes
        _environments[folder] = environment
    return _environments[folder]


def _on_disk(metadata: CacheMetadata) -> np.dtype:
    return np.dtype(metadata.dtype).newbyteorder('<')


def _crc(key: bytes, content: bytes) -> bytes:
    """CRC-32 of a key and its embedding on disk."""
    return zlib.crc32(content, zlib.crc32(key)).to_bytes(CRC_BYTES, 'little')
