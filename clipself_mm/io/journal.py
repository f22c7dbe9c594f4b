"""A journal: one line of json per piece of finished work, in one file per process.

Killed work is continued from it. A line counts once its line break is on disk; the start of a line
that a kill cut off is removed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from .atomic_write import atomic_write, raise_if_full, remove_partial_files
from .text_files import read_local_json

SETTINGS_NAME = 'settings.json'
LOCK_NAME = '.lock'


class Journal:
    """The journal in a folder.

    Args:
        folder: It need not exist.
        option: The option of the user that determines it, for errors.
    """

    def __init__(self, folder: str | Path, option: str = '--out') -> None:
        self.folder = Path(folder)
        self.option = option

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other runs out; the lock ends with the process, however that ends.

        Raises:
            BlockingIOError: Another process has the lock.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / LOCK_NAME).open('a+', encoding='utf-8') as file:
            try:
                import fcntl  # POSIX only

                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except ImportError:
                pass
            except OSError as error:
                if error.errno in (errno.EACCES, errno.EAGAIN):
                    file.seek(0)
                    raise BlockingIOError(
                        f'{self.folder}: {file.read().strip()} writes to this folder; give another '
                        f'{self.option}, or end that process first'
                    ) from error
            file.truncate(0)
            file.write(f'process {os.getpid()} on host {socket.gethostname()}\n')
            file.flush()
            yield

    def claim(self, settings: Mapping[str, Any]) -> None:
        """Write the settings of a new journal, or compare those of an existing one.

        Args:
            settings: All that the results depend on, as json.

        Raises:
            ValueError: The existing journal was made with others.
        """
        path = self.folder / SETTINGS_NAME
        remove_partial_files(self.folder)
        if not path.exists():
            with atomic_write(path, durable=True) as part:
                part.write_text(json.dumps(settings, indent=1) + '\n', encoding='utf-8')
            return
        found = read_local_json(path, 'the settings of a journal')
        wanted = json.loads(json.dumps(settings))
        differences = [*_differences(found, wanted)]
        if differences:
            raise ValueError(
                f'{path.parent}: was begun with other options: {"; ".join(differences[:5])}'
                f'{"; ..." * (len(differences) > 5)}. Give another {self.option}, the same '
                'options, or delete that folder to begin anew'
            )

    def repair(self) -> None:
        """Cut the start of a line from the end of each part, left by a kill."""
        for path in self._parts():
            with path.open('r+b') as file:
                file.truncate(_complete(file))

    @contextmanager
    def part(self, rank: int) -> Iterator[JournalPart]:
        """The file of one process, to add lines to."""
        with (self.folder / f'part-{rank:05d}.jsonl').open('ab', buffering=0) as file:
            yield JournalPart(file)

    def lines(self) -> Iterator[Any]:
        """The complete lines.

        Raises:
            ValueError: A line is damaged.
        """
        for path in self._parts():
            with path.open('rb') as file:
                for count, line in enumerate(file, start=1):
                    if line.endswith(b'\n'):
                        try:
                            yield json.loads(line)
                        except ValueError as error:
                            raise ValueError(
                                f'{path}: line {count} is damaged ({error}): delete this line, '
                                'its part of the work is then done again'
                            ) from error

    def remove(self) -> None:
        """Delete the journal, its settings last: lines without settings would be of any run.

        A folder with other files stays.
        """
        for path in self._parts():
            path.unlink()
        for name in (SETTINGS_NAME, LOCK_NAME):
            (self.folder / name).unlink()
        with suppress(OSError):
            self.folder.rmdir()

    def _parts(self) -> list[Path]:
        return sorted(self.folder.glob('part-*.jsonl'))


class JournalPart:
    """Adds lines to a journal file.

    Args:
        file: The file, open without a buffer.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def add(self, entries: Iterable[Any]) -> None:
        """Write lines at once.

        Args:
            entries: Json, or dataclasses of it.

        Raises:
            OSError: The disk is full or the folder not writable.
        """
        lines = b''.join(json.dumps(entry, default=asdict).encode() + b'\n' for entry in entries)
        rest = memoryview(lines)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise_if_full(error, Path(self._file.name), [])
            raise


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of a state dict, its first 64 bits as hex."""
    weights = hashlib.sha256()
    for name, value in sorted(state.items()):
        value = value.detach().cpu().contiguous()
        weights.update(f'{name} {value.dtype} {tuple(value.shape)}'.encode())
        weights.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return weights.hexdigest()[:16]


def _complete(file: IO[bytes], step: int = 2**16) -> int:
    """Bytes up to the last line break."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - step)
        file.seek(start)
        found = file.read(end - start).rfind(b'\n')
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _differences(found: Any, wanted: Any, key: str = '') -> Iterator[str]:  # noqa: ANN401
    """Say what differs between two settings."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for name in (*found, *(name for name in wanted if name not in found)):
            inner = f'{key} {name}'.strip()
            yield from _differences(found.get(name), wanted.get(name), inner)
    elif isinstance(found, list) and isinstance(wanted, list) and found != wanted:
        gone = [item for item in found if item not in wanted]
        new = [item for item in wanted if item not in found]
        if gone or new:
            yield (
                f'{key}: without {gone[:5]!r}, with {new[:5]!r}'
                if gone
                else (f'{key}: with {new[:5]!r}')
            )
        else:
            yield f'{key}: in another order'
    elif found != wanted:
        yield f'{key} was {found!r}, is {wanted!r}'
