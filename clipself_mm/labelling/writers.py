"""The formats of label files, and the list of broken images; all written from the journal."""

from __future__ import annotations

import os
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
OUTPUTS: dict[str, tuple[str, ...]] = {
    'coco': ('annotations.json', 'vocabulary.json'),
    'yolo': ('data.yaml', 'images', 'labels'),
    'label-studio': ('tasks.json', 'labeling_config.xml'),
    'csv': ('labels.csv',),
}
"""What each format writes, and replaces if it is there."""
BROKEN_NAME = 'broken.txt'


def claim_outputs(name: str, out: Path, journal: Path) -> None:
    """Check that no foreign file would be replaced, and note the format in the journal.

    Args:
        name: Of the format.
        out: Output folder.
        journal: Folder of the journal.

    Raises:
        FileExistsError: A file or folder of that name is there, not written by this labelling.
    """
    note = journal / f'{name}.claimed'
    found = [output for output in OUTPUTS[name] if os.path.lexists(out / output)]
    if found and not note.exists():
        raise FileExistsError(
            f'{out / found[0]}: is there already, not from a labelling with this journal; give '
            'another --out, or move it away'
        )
    note.touch()


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
        lines = (
            f'{" ".join(image.name.splitlines())}: {" ".join(image.broken.split())}\n'
            for image in broken
        )
        part.write_text(''.join(lines), encoding='utf-8')
    return broken
