"""Ultralytics' YOLO format: a text file per image, and ``data.yaml``.

https://docs.ultralytics.com/datasets/detect and /segment
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from clipself_mm.datasets.input_images import InputImage, OutputNames
from clipself_mm.io.atomic_write import PARTIAL, atomic_write

from .journal import LabelledImage, Records
from .polygons import one_outline, outlines

NAME = 'data.yaml'


def write_yolo(records: Records, classes: Sequence[str], out: Path, root: str | None) -> Path:
    """Write ``labels/``, ``data.yaml`` and, of files, ``images/`` with links to them.

    The folders have the sub-folders of the source. A label file has the name of its image with
    ``.txt``; of images that differ in the ending only, the second is ``NAME_2`` in both folders.

    Args:
        records: The labels.
        classes: The K class names.
        out: Output folder.
        root: Folder of the images; None for shards, which have no files to link to.

    Returns:
        ``data.yaml``, written last.

    Raises:
        OSError: The file system has no links.
    """
    (out / NAME).unlink(missing_ok=True)
    names = OutputNames()
    with _new_folder(out / 'labels') as labels, _new_folder(out / 'images') as images:
        for image in records:
            given = InputImage(None, image.name, image.name, _safe_name(image.name))
            (name,) = names.choose([given])
            _write(labels / f'{name}.txt', _rows(image))
            if root is not None and '://' not in image.name:
                link = images / f'{name}{PurePosixPath(image.name).suffix}'
                link.parent.mkdir(parents=True, exist_ok=True)
                target = os.path.realpath(os.path.join(root, image.name))
                folder = os.path.realpath(out / 'images' / link.parent.relative_to(images))
                os.symlink(os.path.relpath(target, folder), link)
    listed = ''.join(
        f'  {number}: {json.dumps(name, ensure_ascii=False)}\n'
        for number, name in enumerate(classes)
    )
    with atomic_write(out / NAME) as part:
        part.write_text(f'train: images\nval: images\nnames:\n{listed}', encoding='utf-8')
    return out / NAME


@contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    """Let a block fill a folder that then replaces another."""
    partial = path.with_name(path.name + PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    shutil.rmtree(path, ignore_errors=True)
    partial.replace(path)


def _safe_name(name: str) -> str:
    """A path below a folder. Readers replace the last folder ``images`` of a path by ``labels``."""
    path = PurePosixPath(os.path.normpath(name.rpartition('://')[2].replace('\\', '/')))
    parts = [part for part in path.parts if part not in ('/', '..')]
    folders = ['images_' if part == 'images' else part for part in parts[:-1]]
    return '/'.join([*folders, parts[-1]])


def _write(path: Path, rows: Iterator[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(f'{row}\n' for row in rows), encoding='utf-8')


def _rows(image: LabelledImage) -> Iterator[str]:
    """Class with centre and size of the box, or with the outline of the mask; from 0 to 1."""
    width, height = image.size
    masks = image.segmentations or [None] * len(image.labels)
    for label, box, mask in zip(image.labels, image.boxes, masks, strict=True):
        if mask is not None:
            points = one_outline(outlines(mask)) / image.size
            values = points.clip(0, 1).reshape(-1).tolist()
        else:
            x0, y0, x1, y1 = box
            values = [
                (x0 + x1) / 2 / width,
                (y0 + y1) / 2 / height,
                (x1 - x0) / width,
                (y1 - y0) / height,
            ]
        yield ' '.join([str(label), *(f'{value:.6f}' for value in values)])
