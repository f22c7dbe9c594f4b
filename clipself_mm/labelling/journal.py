"""The journal of a labelling: one line of json per finished image.

A killed run is continued from it, and the label files are written from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clipself_mm.io import journal

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

    def objects(self) -> Iterator[tuple[int, float, list[float], dict[str, Any] | None]]:
        """Label, score, box and mask of each object."""
        masks: list[dict[str, Any] | None] = [None] * len(self.labels)
        if self.segmentations is not None:
            masks = [*self.segmentations]
        yield from zip(self.labels, self.scores, self.boxes, masks, strict=True)


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


class Journal(journal.Journal):
    """The journal in a folder."""

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
