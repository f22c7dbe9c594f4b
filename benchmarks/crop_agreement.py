"""How far crops of two resize backends are apart, in pixels and in the teacher's eyes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.fileio import load
from PIL import Image

from clipself_mm.clip import VisionTower
from clipself_mm.datasets.regions import grid_boxes
from clipself_mm.datasets.regions.proposal_regions import proposal_crop_boxes
from clipself_mm.datasets.transforms.crop_regions import crop_regions, whole_pixels
from clipself_mm.datasets.transforms.resize_backends import DEVICE, resize_backend, window_rows
from clipself_mm.models import resize_windows

Cut = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
"""Image (H, W, 3), boxes xyxy in its pixels (R, 4), side -> crops (R, 3, side, side), all uint8."""

GRIDS = ((1, 1), (2, 3), (4, 4), (6, 6))
"""Rows and columns of the cells looked at."""


def crop_on_device(image: np.ndarray, boxes_src: np.ndarray, size: int) -> np.ndarray:
    """Crops as `RegionPreprocessor` cuts them, as `crop_regions` gives them."""
    corners = [whole_pixels(box_src, *image.shape[:2]) for box_src in boxes_src]
    source = torch.from_numpy(image).permute(2, 0, 1)
    windows = torch.from_numpy(window_rows(corners, size))
    return resize_windows(source, windows, size, size, centred=True).byte().numpy()


def cutter(backend: str) -> Cut:
    """The function that cuts crops of a backend."""
    if backend == DEVICE:
        return crop_on_device
    return partial(crop_regions, resize=resize_backend(backend))


def shapes_crops(folder: Path, scenes: int, size: int, cut: Cut) -> dict[str, np.ndarray]:
    """Cut crops of exported validation scenes.

    Args:
        folder: The data set, as `tools/make_shapes_ov.py` writes it.
        scenes: How many scenes, from the first.
        size: Side of a crop in pixels.
        cut: Of a backend, see `cutter`.

    Returns:
        uint8 of shape (R, 3, size, size) of `cells` (`GRIDS`) and of `boxes`, annotated and
        enlarged 1.5 times.
    """
    content = load(folder / 'annotations' / 'instances_val.json')
    crops: dict[str, list[np.ndarray]] = dict(cells=[], boxes=[])
    for entry in content['images'][:scenes]:
        image = np.array(Image.open(folder / 'val' / entry['file_name']).convert('RGB'))
        height, width = image.shape[:2]
        cells = np.concatenate([grid_boxes(height, width, *grid) for grid in GRIDS])
        crops['cells'].append(cut(image, cells, size))
        of_image = [x['bbox'] for x in content['annotations'] if x['image_id'] == entry['id']]
        if of_image:
            boxes = proposal_crop_boxes(np.array(of_image, np.float64), 1.5, height, width)
            crops['boxes'].append(cut(image, boxes, size))
    return {kind: np.concatenate(parts) for kind, parts in crops.items()}


@torch.no_grad()
def embed(tower: VisionTower, crops: np.ndarray, batch: int = 64) -> torch.Tensor:
    """Return the tower's embeddings (R, D) of uint8 crops (R, 3, S, S)."""
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (tower.mean, tower.std))
    parts = torch.from_numpy(crops).split(batch)
    return torch.cat([tower.encode_image((part / 255 - mean) / std) for part in parts])


def agreement(tower: VisionTower, crops: np.ndarray, others: np.ndarray) -> dict[str, float]:
    """Compare two versions of the same crops.

    Args:
        tower: The teacher.
        crops: uint8 of shape (R, 3, S, S).
        others: The same crops otherwise resized.

    Returns:
        `crops` (how many), `differing` (share of values that differ), `largest` difference of a
        value (0-255), and `cosine_gap_mean` and `cosine_gap_max` of the embeddings, 1 - cosine.
    """
    apart = np.abs(crops.astype(np.int16) - others)
    one, other = (embed(tower, version).double() for version in (crops, others))
    gap = 1 - F.cosine_similarity(one, other, dim=-1)
    return dict(
        crops=len(crops),
        differing=float((apart > 0).mean()),
        largest=int(apart.max()),
        cosine_gap_mean=float(gap.mean()),
        cosine_gap_max=float(gap.max()),
    )


def backend_agreement(
    tower: VisionTower, folder: Path, scenes: int, size: int, backend: str = 'torch'
) -> dict[str, dict[str, float]]:
    """Compare a backend's crops with those of `pillow`, see `shapes_crops` and `agreement`."""
    exact, fast = (shapes_crops(folder, scenes, size, cutter(name)) for name in ('pillow', backend))
    return {kind: agreement(tower, exact[kind], fast[kind]) for kind in exact}
