"""COCO's json."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pycocotools.mask as coco_mask

from clipself_mm.io.atomic_write import atomic_write, save_json

from .frames import to_stored_frame
from .journal import LabelledImage, Records

NAME = 'annotations.json'


def write_coco(records: Records, classes: Sequence[str], out: Path, root: str | None) -> Path:
    """Write ``annotations.json``, and ``vocabulary.json`` for the data sets of this package.

    Ids count from 1; that of an image is its number in the source. Annotations have a `score`, and
    with a mask head COCO's run lengths.

    Args:
        records: The labels.
        classes: The K class names.
        out: Output folder.
        root: Not used.

    Returns:
        The json file.
    """
    categories = [dict(id=number, name=name) for number, name in enumerate(classes, start=1)]
    save_json(dict(classes=[*classes]), out / 'vocabulary.json')
    with atomic_write(out / NAME) as part, part.open('w', encoding='utf-8') as file:
        file.write('{"info":{"description":"labelled by a detector"},\n"images":')
        _write_list(file, (_image(found) for found in records))
        file.write(',\n"annotations":')
        _write_list(file, _annotations(records))
        file.write(f',\n"categories":{json.dumps(categories)}}}\n')
    return out / NAME


def _write_list(file: IO[str], entries: Iterable[dict[str, Any]]) -> None:
    """Write a json list, an entry per line."""
    between = '['
    for entry in entries:
        file.write(f'{between}\n{json.dumps(entry, separators=(",", ":"))}')
        between = ','
    file.write('[]' if between == '[' else '\n]')


def _image(found: LabelledImage) -> dict[str, Any]:
    width, height = found.size
    return dict(id=found.index + 1, file_name=found.name, width=width, height=height)


def _annotations(records: Records) -> Iterator[dict[str, Any]]:
    number = 0
    for image in map(to_stored_frame, records):
        for place, (label, score, box) in enumerate(
            zip(image.labels, image.scores, image.boxes, strict=True)
        ):
            number += 1
            x0, y0, x1, y1 = box
            width, height = round(x1 - x0, 2), round(y1 - y0, 2)
            entry: dict[str, Any] = dict(
                id=number,
                image_id=image.index + 1,
                category_id=label + 1,
                bbox=[x0, y0, width, height],
                area=round(width * height, 2),
                iscrowd=0,
                score=score,
            )
            if image.segmentations is not None:
                entry['segmentation'] = image.segmentations[place]
                entry['area'] = int(coco_mask.area(image.segmentations[place]))
            yield entry
