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

DATA_NAME = 'data.mdb'  # LMDB's own name for it
METADATA_KEY = b'metadata'
MAP_SIZE = 2**40  # the most a cache can hold; address space only, nothing is reserved on disk
CRC_BYTES = 4

_environments: dict[Path, Any] = {}


def _close_environments() -> None:
    while _environments:
        _environments.popitem()[1].close()


if hasattr(os, 'register_at_fork'):  # an open LMDB environment must not cross a fork
    os.register_at_fork(before=_close_environments)


@dataclass(frozen=True)
class CacheMetadata:
    """What all embeddings of a cache have in common.

    Attributes:
        teacher: Digest of the teacher's weights and modules.
        precision: Dtype of the teacher's matrix products, as `float32`.
        crops: How a box becomes a crop, see `crop_recipe`.
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

    A batch is added in one transaction, so it is there as a whole or not at all, whenever a process
    is killed. Reads go through a memory map: the system frees its pages when memory is short.

    Args:
        folder: Folder of the cache, on a local disk: LMDB does not work on network file systems.
            It need not exist.

    Raises:
        OSError: In all methods. The files are damaged or foreign, cannot be opened, or the disk is
            full.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def claim(self, metadata: CacheMetadata) -> None:
        """Start a cache with this metadata, or make sure that the one there has it.

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
        """Add embeddings to a claimed cache; a key that is there keeps its embedding.

        Args:
            keys: Keys of R crops.
            embeddings: Shape (R, D).
        """
        with self._transaction(write=True) as transaction:
            metadata = self._metadata(transaction)
            rows = np.ascontiguousarray(embeddings, _on_disk(metadata))
            if rows.shape != (len(keys), metadata.dim):
                raise ValueError(f'expected {len(keys)} x {metadata.dim}, got {rows.shape}')
            for key, row in zip(keys, rows, strict=True):
                transaction.put(key, _crc(key, row) + row.tobytes(), overwrite=False)

    def get(self, keys: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """Look embeddings up.

        Args:
            keys: Keys of R crops.

        Returns:
            The F embeddings found, float32 of shape (F, D) in the order of the keys (D is 0 while
            there is no cache), and which were found, bool of shape (R).
        """
        metadata, values = None, [None] * len(keys)
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
        """Read the metadata; None of an empty environment."""
        content = transaction.get(METADATA_KEY)
        if content is None and not transaction.cursor().first():
            return None
        try:
            metadata = CacheMetadata(**json.loads(content))
        except (TypeError, ValueError):  # none, or of other content
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
    """Import `lmdb`.

    Raises:
        ImportError: It is not installed.
    """
    try:
        import lmdb
    except ImportError as error:
        raise ImportError(
            'a teacher cache needs the `lmdb` library: pip install "clipself_mm[cache]"'
        ) from error
    return lmdb


def _environment(folder: Path) -> Any:  # noqa: ANN401
    """The environment of a folder; LMDB allows one for each folder and process."""
    if folder not in _environments:
        # Without metasync, a failing machine may lose the last batch, but damages nothing.
        environment = lmdb_library().open(
            str(folder), map_size=MAP_SIZE, metasync=False, max_readers=1024
        )
        pages, path = environment.info()['last_pgno'] + 1, folder / DATA_NAME
        if path.stat().st_size < pages * environment.stat()['psize']:  # reading would be a SIGBUS
            environment.close()
            raise OSError(f'{path} is truncated: delete the folder')
        environment.reader_check()  # frees the slots of killed processes
        _environments[folder] = environment
    return _environments[folder]


def _on_disk(metadata: CacheMetadata) -> np.dtype:
    return np.dtype(metadata.dtype).newbyteorder('<')


def _crc(key: bytes, row: bytes | np.ndarray) -> bytes:
    """CRC-32 of a key and its embedding on disk."""
    return zlib.crc32(row, zlib.crc32(key)).to_bytes(CRC_BYTES, 'little')
