"""What the page's detection tab computes: boxes, their figure, table and json."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from clipself_mm.datasets.exemplars import Exemplars
from clipself_mm.datasets.open_vocab_coco_dataset import BASE_COLOUR, NOVEL_COLOUR
from clipself_mm.detection import ImageDetections, OpenVocabDetector
from clipself_mm.models import read_names

from .drawing import draw_boxes, fit
from .images import PageImage

MAX_NAMES = 200
MAX_NAME_LENGTH = 100
MAX_LENGTH = MAX_NAMES * MAX_NAME_LENGTH
"""Limits of what is typed, in names and characters."""
COLUMNS = ('name', 'class', 'score', 'x', 'y', 'width', 'height')
"""Columns of the table."""
FIGURE_SIDE = 800
"""Longest side of a figure in pixels; its labels are readable in images of any size."""


def read_words(text: str) -> list[str]:
    """Class names that somebody typed, see `read_names`.

    Raises:
        ValueError: There is none, there are too many, or one is too long; the text is a sentence.
    """
    if not re.search(r'\w', text):
        raise ValueError('Type what to look for, such as: red star, blue ring')
    if len(text) > MAX_LENGTH:
        raise ValueError(f'{len(text)} characters are too many: type at most {MAX_LENGTH}')
    names = read_names(text)
    if len(names) > MAX_NAMES:
        raise ValueError(f'{len(names)} names are too many: type at most {MAX_NAMES}')
    longest = max(names, key=len)
    if len(longest) > MAX_NAME_LENGTH:
        raise ValueError(
            f'“{longest[:30]}…” has {len(longest)} characters: type at most {MAX_NAME_LENGTH} per '
            'name and a comma between names'
        )
    return names


def trained_classes(detector: OpenVocabDetector) -> tuple[str, ...]:
    """Classes that had boxes in training: the base classes, all classes without a split."""
    vocabulary = detector.model.roi_head.bbox_head.train_vocabulary
    return vocabulary.base or vocabulary.classes


def nms_iou(detector: OpenVocabDetector) -> float:
    """IoU above which NMS drops the weaker of two boxes of a class."""
    return detector.model.roi_head.test_cfg.nms['iou_threshold']


@contextmanager
def nms_overlap(detector: OpenVocabDetector, iou: float) -> Iterator[None]:
    """Change `nms_iou` inside a ``with`` block."""
    config = detector.model.roi_head.test_cfg
    before = config.nms
    config.nms = dict(before, iou_threshold=iou)
    try:
        yield
    finally:
        config.nms = before


def detect(
    detector: OpenVocabDetector,
    image: PageImage,
    words: str,
    exemplars: Exemplars,
    weight: float,
    score_thr: float,
    overlap: float,
) -> ImageDetections:
    """Detect what was typed and what was boxed.

    Args:
        detector: The detector.
        image: The image.
        words: Class names, see `read_words`; may be empty if there are exemplars. Those of the
            training are found in upper case too.
        exemplars: Class name to its boxed objects.
        weight: Share of the exemplars in a class that is named in `words` too.
        score_thr: Least score.
        overlap: IoU above which NMS drops the weaker of two boxes of a class.

    Raises:
        ValueError: As in `read_words`.
    """
    options: dict[str, Any] = {}
    if exemplars:
        options.update(exemplars=exemplars, exemplar_weight=weight)
    if words.strip() or not exemplars:
        known = {name.casefold(): name for name in trained_classes(detector)}
        # Phones begin with a capital letter; colours and table go by the training's spelling.
        names = [known.get(name.casefold(), name) for name in read_words(words)]
        options.update(texts=[*dict.fromkeys(names)])
    with nms_overlap(detector, overlap):
        (found,) = detector(Image.fromarray(image.rgb), score_thr=score_thr, **options)
    return found


def draw_figure(image: PageImage, found: ImageDetections, trained: tuple[str, ...]) -> np.ndarray:
    """Draw detections: classes with boxes in training blue, others red.

    Args:
        image: The image.
        found: Its detections.
        trained: Classes that had boxes in training.

    Returns:
        RGB, uint8 of shape (H, W, 3).
    """
    figure = fit(image.rgb, FIGURE_SIDE)
    scale = FIGURE_SIDE / max(found.size)
    colours = [BASE_COLOUR if name in trained else NOVEL_COLOUR for name in found.names]
    for number, mask in enumerate(() if found.masks is None else found.masks):
        flat = Image.new('RGB', figure.size, colours[number])
        figure.paste(Image.blend(figure, flat, 0.5), mask=Image.fromarray(mask).resize(figure.size))
    labels = [f'{n} {s:.2f}' for n, s in zip(found.names, found.scores.tolist(), strict=True)]
    draw_boxes(figure, (scale * found.boxes).tolist(), labels, colours)
    return np.asarray(figure)


def list_rows(found: ImageDetections, trained: tuple[str, ...]) -> list[list[Any]]:
    """Rows of the table, see `COLUMNS`; pixels of the image."""
    rows = []
    for name, score, (x0, y0, x1, y1) in zip(
        found.names, found.scores.tolist(), found.boxes.tolist(), strict=True
    ):
        kind = 'base' if name in trained else 'novel'
        rows.append([name, kind, f'{score:.2f}', *map(round, (x0, y0, x1 - x0, y1 - y0))])
    return rows


def coco_data_set(image: PageImage, found: ImageDetections) -> dict[str, Any]:
    """The detections as a COCO data set of one image; `score` is an additional key."""
    width, height = found.size
    annotations = []
    for number, entry in enumerate(found.to_coco(image_id=1), start=1):
        del entry['file_name'], entry['category_name']
        box_width, box_height = entry['bbox'][2:]
        annotations.append({'id': number, **entry, 'area': box_width * box_height, 'iscrowd': 0})
    return {
        'images': [{'id': 1, 'file_name': image.name, 'width': width, 'height': height}],
        'categories': [
            {'id': number, 'name': name} for number, name in enumerate(found.classes, start=1)
        ],
        'annotations': annotations,
    }


def write_coco(folder: str | Path, image: PageImage, found: ImageDetections) -> str:
    """Write `coco_data_set` to a new file in a folder; returns its path.

    Its name has letters, digits, '-' and '_' only, and at most 255 bytes: it is part of an address.
    """
    stem = re.sub(r'[^\w-]+', '_', Path(image.name).stem)[:50]
    path = Path(folder) / f'{stem}_coco.json'
    path.write_text(json.dumps(coco_data_set(image, found), ensure_ascii=False), encoding='utf-8')
    return str(path)
