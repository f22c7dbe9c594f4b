"""The writing side of a teacher store."""

from __future__ import annotations

import os
import secrets
import socket
from io import BufferedWriter
from pathlib import Path

import numpy as np

from .segment import (
    HEADER_BYTES,
    KEY_RECORD,
    KEYS_ENDING,
    ROWS_ENDING,
    checksum,
    header,
    whole_records,
)
from .store_facts import StoreFacts

try:
    import fcntl
except ImportError:  # no such locks on Windows: every writer starts a segment there
    fcntl = None


class StoreWriter:
    """Appends embeddings to a segment of a teacher store that no other process writes to.

    A segment that a process of this machine left, ended or killed, is continued: its halves of
    records are cut off. So a store has as many segments as it ever had writers at once. What was
    added survives the death of the process; a failing machine may lose the last seconds.

    Args:
        folder: Folder of the store; made where there is none.
        facts: What the store must have been started with.
        max_bytes: Size of all segments together from which on nothing is added; None for no limit.

    Raises:
        ValueError: The folder holds a store with other facts.
    """

    def __init__(
        self, folder: str | Path, facts: StoreFacts, max_bytes: float | None = None
    ) -> None:
        facts.claim(folder)
        self.folder = Path(folder)
        self.facts = facts
        self.max_bytes = max_bytes
        self._keys: BufferedWriter | None = None
        self._rows: BufferedWriter | None = None

    def add(self, keys: np.ndarray, embeddings: np.ndarray) -> bool:
        """Append embeddings.

        Args:
            keys: Keys of the crops, uint64 of shape (R, 2).
            embeddings: Floats of shape (R, D).

        Returns:
            Whether they were added; False when the store is full.

        Raises:
            ValueError: The shapes are others.
            OSError: The disk is full or the folder not writable.
        """
        if keys.shape != (len(embeddings), 2) or embeddings.shape[1:] != (self.facts.dim,):
            raise ValueError(
                f'expected keys (R, 2) and embeddings (R, {self.facts.dim}), got {keys.shape} and '
                f'{embeddings.shape}'
            )
        if self.max_bytes is not None and self.bytes_on_disk() >= self.max_bytes:
            return False
        if self._keys is None:
            self._open()
        dtype = np.dtype(self.facts.dtype).newbyteorder('<')
        rows = np.ascontiguousarray(embeddings, dtype)
        records = np.empty(len(keys), KEY_RECORD)
        records['key'] = keys
        records['check'] = [
            checksum(key, row) for key, row in zip(records['key'].copy(), rows, strict=True)
        ]
        self._rows.write(rows.tobytes())
        self._rows.flush()
        self._keys.write(records.tobytes())
        self._keys.flush()
        return True

    def bytes_on_disk(self) -> int:
        """Return the size of all segments of the store."""
        with os.scandir(self.folder) as entries:
            segments = [e for e in entries if e.name.endswith((KEYS_ENDING, ROWS_ENDING))]
            return sum(entry.stat().st_size for entry in segments)

    def close(self) -> None:
        """Leave the segment to others; the next `add` takes one again."""
        for file in (self._rows, self._keys):
            if file is not None:
                file.close()
        self._keys = self._rows = None

    def _open(self) -> None:
        """Take a segment that a process of this machine left, or start one."""
        host = ''.join(c if c.isalnum() else '-' for c in socket.gethostname())[:40]
        for path in sorted(self.folder.glob(f'{host}.*{KEYS_ENDING}')):
            if self._take(path, 'ab'):
                return
        # Another process may see the new file and lock it before this one does.
        while not self._take(self.folder / f'{host}.{secrets.token_hex(6)}{KEYS_ENDING}', 'xb'):
            pass

    def _take(self, path: Path, mode: str) -> bool:
        """Open a segment behind its last whole record; False if another process has it."""
        file = path.open(mode)
        if not _lock(file, new=mode == 'xb'):
            file.close()
            return False
        count = whole_records(path, self.facts)
        self._keys, self._rows = file, path.with_suffix(ROWS_ENDING).open('ab')
        self._rows.truncate(count * self.facts.row_bytes)
        if count:
            self._keys.truncate(HEADER_BYTES + count * KEY_RECORD.itemsize)
            self._keys.seek(0, os.SEEK_END)
        else:
            self._keys.truncate(0)
            self._keys.seek(0)
            self._keys.write(header(self.facts))
            self._keys.flush()
        return True


def _lock(file: BufferedWriter, new: bool) -> bool:
    """Lock a file for this process, if nobody has locked it; the lock ends with the process.

    Args:
        file: The file.
        new: Whether this process made it; without locks, it may write to such a file only.
    """
    if fcntl is None:
        return new
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return new
    return True
