"""Label Studio's import format: tasks with predictions, and the labelling interface.

https://labelstud.io/guide/predictions
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from clipself_mm.io.atomic_write import atomic_write

from .journal import LabelledImage, Records
from .polygons import outlines

TASKS = 'tasks.json'
INTERFACE = 'labeling_config.xml'
IMAGE_URL = '/data/local-files/?d='
"""Where Label Studio serves files below its LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT."""


def write_label_studio(
    records: Records, classes: Sequence[str], out: Path, root: str | None
) -> Path:
    """Write ``tasks.json`` and ``labeling_config.xml``.

    Images are ``/data/local-files/?d=NAME``: the document root is the folder that was labelled.
    With a mask head, each part of a mask is a polygon.

    Args:
        records: The labels.
        classes: The K class names.
        out: Output folder.
        root: Not used.

    Returns:
        The tasks.
    """
    masks = False
    with atomic_write(out / TASKS) as part, part.open('w', encoding='utf-8') as file:
        between = '['
        for image in records:
            masks |= image.segmentations is not None
            file.write(f'{between}\n{json.dumps(_task(image, classes))}')
            between = ','
        file.write('\n]\n')
    tag = 'PolygonLabels' if masks else 'RectangleLabels'
    labels = ''.join(f'    <Label value={quoteattr(name)}/>\n' for name in classes)
    with atomic_write(out / INTERFACE) as part:
        part.write_text(
            '<View>\n  <Image name="image" value="$image" zoom="true"/>\n'
            f'  <{tag} name="label" toName="image">\n{labels}  </{tag}>\n</View>\n',
            encoding='utf-8',
        )
    return out / TASKS


def _task(image: LabelledImage, classes: Sequence[str]) -> dict[str, Any]:
    width, height = image.size
    result = [
        {
            'id': f'{image.index}-{number}',
            'from_name': 'label',
            'to_name': 'image',
            'original_width': width,
            'original_height': height,
            'image_rotation': 0,
            'score': score,
            **region,
        }
        for number, (score, region) in enumerate(_regions(image, classes))
    ]
    url = image.name if '://' in image.name else IMAGE_URL + quote(image.name)
    prediction = {
        'model_version': 'clipself_mm',
        'score': round(sum(image.scores) / max(len(image.scores), 1), 5),
        'result': result,
    }
    return {'data': {'image': url}, 'predictions': [prediction]}


def _regions(
    image: LabelledImage, classes: Sequence[str]
) -> Iterator[tuple[float, dict[str, Any]]]:
    """Score and region, in percent of the image."""
    width, height = image.size
    masks = image.segmentations or [None] * len(image.labels)
    for label, score, box, mask in zip(image.labels, image.scores, image.boxes, masks, strict=True):
        if mask is not None:
            for part in outlines(mask):
                points = (part * (100 / width, 100 / height)).round(4).tolist()
                value = {'points': points, 'polygonlabels': [classes[label]]}
                yield score, {'type': 'polygonlabels', 'value': value}
            continue
        x0, y0, x1, y1 = box
        place = {
            'x': 100 * x0 / width,
            'y': 100 * y0 / height,
            'width': 100 * (x1 - x0) / width,
            'height': 100 * (y1 - y0) / height,
        }
        value = {key: round(percent, 4) for key, percent in place.items()}
        value.update(rotation=0, rectanglelabels=[classes[label]])
        yield score, {'type': 'rectanglelabels', 'value': value}
