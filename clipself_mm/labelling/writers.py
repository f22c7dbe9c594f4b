"""The formats of label files, and the list of broken images; all written from the journal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from clipself_mm.io.atomic_write import atomic_write

from .coco import write_coco
from .csv_table import write_csv
from .journal import BrokenImage, Records
from .label_studio import write_label_studio
from .yolo import write_yolo

Writer = Callable[[Records, Sequence[str], Path, str | None], Path]
"""Writes labels of classes to a folder, of images in a root; gives the main file."""

FORMATS: dict[str, Writer] = {
    'coco': write_coco,
    'yolo': write_yolo,
    'label-studio': write_label_studio,
    'csv': write_csv,
}
BROKEN_NAME = 'broken.txt'


def write_broken(records: Records, out: Path) -> list[BrokenImage]:
    """Write ``broken.txt``, a line per image that could not be read; without any, there is none.

    Args:
        records: The labels.
        out: Output folder.

    Returns:
        These images.
    """
    broken = [*records.broken()]
    if not broken:
        (out / BROKEN_NAME).unlink(missing_ok=True)
        return broken
    with atomic_write(out / BROKEN_NAME) as part:
        lines = (f'{image.name}: {" ".join(image.broken.split())}\n' for image in broken)
        part.write_text(''.join(lines), encoding='utf-8')
    return broken
