"""The journal of a labelling: one line of json per finished image, in one file per process.

A killed run is continued from it, and the label files are written from it. A line counts once its
line break is on disk; the start of a line that a kill cut off is removed.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from clipself_mm.io.atomic_write import atomic_write, raise_if_full, remove_partial_files
from clipself_mm.io.text_files import read_local_json

SETTINGS_NAME = 'settings.json'
LOCK_NAME = '.lock'
_NONE, _BROKEN, _LABELLED = 0, 1, 2


@dataclass(frozen=True)
class LabelledImage:
    """The M objects of one image, the highest score first.

    Attributes:
        index: Number of the image in its source, from 0.
        name: Its name there.
        size: Width and height in pixels, as people see the image (EXIF orientation applied).
        labels: Indices of the classes.
        scores: In 0-1.
        boxes: x0, y0, x1, y1 in pixels of that frame.
        segmentations: COCO's run lengths in that frame; None without a mask head.
        orientation: The EXIF orientation if turning keeps the size, so that the size does not tell
            the frame; else 1.
    """

    index: int
    name: str
    size: tuple[int, int]
    labels: list[int]
    scores: list[float]
    boxes: list[list[float]]
    segmentations: list[dict[str, Any]] | None = None
    orientation: int = 1


@dataclass(frozen=True)
class BrokenImage:
    """An image that could not be read.

    Attributes:
        index: Number of the image in its source, from 0.
        name: Its name there.
        broken: What is wrong with it.
    """

    index: int
    name: str
    broken: str


class Journal:
    """The journal in a folder.

    Args:
        folder: It need not exist.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

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
                        '--out, or end that process first'
                    ) from error
            file.truncate(0)
            file.write(f'process {os.getpid()} on host {socket.gethostname()}\n')
            file.flush()
            yield

    def claim(self, settings: Mapping[str, Any]) -> None:
        """Write the settings of a new journal, or compare those of an existing one.

        Args:
            settings: All that the labels depend on, as json.

        Raises:
            ValueError: The existing journal was made with others.
        """
        path = self.folder / SETTINGS_NAME
        remove_partial_files(self.folder)
        if not path.exists():
            with atomic_write(path, durable=True) as part:
                part.write_text(json.dumps(settings, indent=1) + '\n', encoding='utf-8')
            return
        found = read_local_json(path, 'the settings of a labelling')
        wanted = json.loads(json.dumps(settings))
        differences = [*_differences(found, wanted)]
        if differences:
            raise ValueError(
                f'{path.parent}: was begun with other options: {"; ".join(differences[:5])}'
                f'{"; ..." * (len(differences) > 5)}. Give another --out, the same options, or '
                'delete that folder to begin anew'
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

    def records(self, total: int) -> Records:
        """Look up where the lines of all images are.

        Args:
            total: Number of images N.

        Raises:
            ValueError: A line is damaged.
        """
        records = Records(self._parts(), total)
        records.look_up()
        return records

    def _parts(self) -> list[Path]:
        return sorted(self.folder.glob('part-*.jsonl'))


class JournalPart:
    """Adds lines to a journal file.

    Args:
        file: The file, open without a buffer.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def add(self, images: Sequence[LabelledImage | BrokenImage]) -> None:
        """Write the lines of a batch at once.

        Raises:
            OSError: The disk is full or the folder not writable.
        """
        lines = b''.join(json.dumps(asdict(image)).encode() + b'\n' for image in images)
        rest = memoryview(lines)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise_if_full(error, Path(self._file.name), [])
            raise


class Records:
    """The journal's labels in the order of the images; lines are read when they are needed.

    Args:
        parts: Files of the journal.
        total: Number of images N.

    Attributes:
        state: Per image whether it is labelled, broken or neither, int8 of shape (N).
    """

    def __init__(self, parts: Sequence[Path], total: int) -> None:
        self._parts = parts
        self._places = np.zeros((total, 2), np.int64)
        self.state = np.zeros(total, np.int8)

    def look_up(self) -> None:
        """Find the lines; an image that was read in a later run is no longer broken."""
        for number, path in enumerate(self._parts):
            with path.open('rb') as file:
                place = 0
                for count, line in enumerate(file, start=1):
                    if not line.endswith(b'\n'):
                        break
                    try:
                        found = json.loads(line)
                        index = found['index']
                        state = _BROKEN if 'broken' in found else _LABELLED
                        known = self.state[index]
                    except (ValueError, TypeError, KeyError, IndexError) as error:
                        raise ValueError(
                            f'{path}: line {count} is damaged ({error!r}): delete this line, its '
                            'image is then labelled again'
                        ) from error
                    if state > known:
                        self.state[index] = state
                        self._places[index] = number, place
                    place += len(line)

    @property
    def labelled(self) -> np.ndarray:
        """Which images are labelled, bool of shape (N)."""
        return self.state == _LABELLED

    def __len__(self) -> int:
        """Number of labelled images."""
        return int(self.labelled.sum())

    def __iter__(self) -> Iterator[LabelledImage]:
        """The labelled images in order."""
        for found in self._lines(_LABELLED):
            yield LabelledImage(**{**found, 'size': tuple(found['size'])})

    def broken(self) -> Iterator[BrokenImage]:
        """The broken images in order."""
        for found in self._lines(_BROKEN):
            yield BrokenImage(**found)

    def _lines(self, state: int) -> Iterator[dict[str, Any]]:
        with ExitStack() as stack:
            files = [stack.enter_context(path.open('rb')) for path in self._parts]
            for number, place in self._places[self.state == state].tolist():
                files[number].seek(place)
                yield json.loads(files[number].readline())


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
