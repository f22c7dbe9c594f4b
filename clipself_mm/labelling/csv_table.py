"""A table with a row per object."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from clipself_mm.io.atomic_write import atomic_write

from .journal import Records

NAME = 'labels.csv'
COLUMNS = ('path', 'name', 'score', 'x0', 'y0', 'x1', 'y1', 'width', 'height')


def write_csv(records: Records, classes: Sequence[str], out: Path, root: str | None) -> Path:
    """Write ``labels.csv``: pixels of the image as people see it, and its width and height.

    An image without objects has one row, with empty cells.

    Args:
        records: The labels.
        classes: The K class names.
        out: Output folder.
        root: Not used.

    Returns:
        The table.
    """
    with (
        atomic_write(out / NAME) as part,
        part.open('w', encoding='utf-8', newline='') as file,
    ):
        table = csv.writer(file, lineterminator='\n')
        table.writerow(COLUMNS)
        for image in records:
            for label, score, box in zip(image.labels, image.scores, image.boxes, strict=True):
                table.writerow([image.name, classes[label], score, *box, *image.size])
            if not image.labels:
                table.writerow([image.name, *[''] * 6, *image.size])
    return out / NAME
