"""Figures of data set samples: an image with its regions, and the crops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS
from PIL import Image, ImageDraw

from clipself_mm.datasets.seeded_index import SeededIndex
from clipself_mm.models import cut_windows

COLOURS = (
    (230, 25, 75),
    (60, 180, 75),
    (0, 130, 200),
    (245, 130, 48),
    (145, 30, 180),
    (70, 200, 200),
    (240, 50, 230),
    (170, 110, 40),
)


def draw_boxes(
    image: np.ndarray, boxes_px: np.ndarray, names: Sequence[str] | None = None
) -> Image.Image:
    """Draw numbered boxes on an image.

    Args:
        image: uint8 RGB of shape (H, W, 3).
        boxes_px: Boxes xyxy in pixels of the image, shape (R, 4).
        names: One name per box, or None.

    Returns:
        The image with the boxes.
    """
    drawn = Image.fromarray(image)
    pen = ImageDraw.Draw(drawn)
    for number, box_px in enumerate(np.asarray(boxes_px, np.float64)):
        colour = COLOURS[number % len(COLOURS)]
        text = f'{number}' if names is None else f'{number} {names[number]}'
        pen.rectangle(box_px.tolist(), outline=colour, width=2)
        pen.text((box_px[0] + 3, box_px[1] + 2), text, fill=colour)
    return drawn


def crop_sheet(crops: np.ndarray, height: int) -> Image.Image:
    """Arrange crops in columns, each framed in the colour of its box.

    Args:
        crops: uint8 of shape (R, 3, S, S).
        height: Height of the sheet in pixels; at least one crop per column.

    Returns:
        The sheet, of width 0 without crops.
    """
    size = crops.shape[-1]
    rows = max(height // size, 1)
    columns = -(-len(crops) // rows)
    sheet = Image.new('RGB', (columns * size, max(height, size)), 'white')
    pen = ImageDraw.Draw(sheet)
    for number, crop in enumerate(crops):
        x, y = number // rows * size, number % rows * size
        sheet.paste(Image.fromarray(np.ascontiguousarray(crop.transpose(1, 2, 0))), (x, y))
        frame = [x, y, x + size - 1, y + size - 1]
        pen.rectangle(frame, outline=COLOURS[number % len(COLOURS)], width=2)
        pen.text((x + 4, y + 3), f'{number}', fill=COLOURS[number % len(COLOURS)])
    return sheet


def draw_sample(packed: dict, classes: Sequence[str] | None = None) -> Image.Image:
    """Draw one sample: the image with regions, the crops to the right.

    Args:
        packed: Output of `PackRegions`.
        classes: Class names, to draw the labels of annotated regions.

    Returns:
        The figure.
    """
    sample = packed['data_samples']
    inputs = cut_windows({key: [value] for key, value in packed['inputs'].items()}, [sample])
    image, regions = inputs['image'][0].byte(), sample.regions
    names = None
    if classes is not None and 'labels' in regions:
        names = [classes[label] for label in regions.labels.tolist()]
    pixels = image.permute(1, 2, 0).contiguous().numpy()
    left = draw_boxes(pixels, regions.boxes_px.numpy(), names)
    if 'crops' not in inputs or not len(inputs['crops'][0]):
        return left
    right = crop_sheet(inputs['crops'][0].byte().numpy(), left.height)
    both = Image.new('RGB', (left.width + right.width, max(left.height, right.height)), 'white')
    both.paste(left, (0, 0))
    both.paste(right, (left.width, 0))
    return both


def browse(
    config: Config, folder: str | Path, number: int, split: str = 'train', epoch: int = 0
) -> Iterator[Path]:
    """Write figures of the first samples of a config's data set.

    Args:
        config: Config with `<split>_dataloader`; its modules are imported already.
        folder: Folder of the PNG files; created if missing.
        number: Number of samples.
        split: `train`, `val` or `test`.
        epoch: Epoch whose random regions are chosen, with the config's seed.

    Yields:
        The path of each figure.

    Raises:
        ValueError: The config has no `<split>_dataloader`.
    """
    loader = config.get(f'{split}_dataloader')
    if not loader:
        raise ValueError(f'{config.filename} has no {split}_dataloader')
    dataset = DATASETS.build(loader['dataset'])
    seed = (config.get('randomness') or {}).get('seed') or 0
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(min(number, len(dataset))):
        packed = dataset[SeededIndex(index, seed, epoch)]
        path = folder / f'{index:04d}_{Path(packed["data_samples"].img_path).stem}.png'
        draw_sample(packed, dataset.metainfo.get('classes')).save(path)
        yield path
