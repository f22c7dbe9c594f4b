"""Pictures of classes to the vectors that dense features are compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from clipself_mm.clip import VisionTower, roi_pool
from clipself_mm.clip.exemplar_embedding import (
    ExemplarEmbedding,
    check_weight,
    mean_direction,
)
from clipself_mm.datasets.exemplars import Exemplar
from clipself_mm.datasets.transforms.resize_backends import longest_side_size, resize_by_pillow

from .class_names import read_names
from .tower_pixels import pad_right_below, round_up

SURROUNDINGS = 3
"""Side of the square about a crop, in longest sides of the crop."""
CANVAS = 2
"""Side of this square as the tower's input, in sides of its own images."""


def embed_exemplars(
    tower: VisionTower,
    exemplars: Mapping[str, Sequence[Exemplar]],
    size: int | Callable[[np.ndarray], int],
) -> dict[str, Tensor]:
    """Embed pictures as the tower sees objects in images: by its dense features.

    A box is pooled from the dense map of its image, whose longest side is resized to `size`. A crop
    is laid in the middle of a square of the tower's mean colour, three times as long, since dense
    features of an object need surroundings.

    Args:
        tower: The tower whose dense features are compared with the classes.
        exemplars: Class name to its pictures.
        size: Longest side in pixels of images with boxes, that of the test; or a function of an
            image (RGB, uint8 of shape (H, W, 3)).

    Returns:
        Class name to the mean of its pictures' unit vectors, normalised, float32 of shape (D), on
        the tower's device.

    Raises:
        ImageReadError: A picture is missing or broken.
        ValueError: A box has no area in its image.
    """
    every = [(name, exemplar) for name, own in exemplars.items() for exemplar in own]
    by_image: dict[object, list[int]] = {}
    for number, (_, exemplar) in enumerate(every):
        image = exemplar.input
        by_image.setdefault(image.path or id(image.source), []).append(number)
    rows: dict[int, Tensor] = {}
    for numbers in by_image.values():
        pixels = every[numbers[0]][1].input.read_rgb()
        boxes = {n: every[n][1].box_in(pixels.shape[1], pixels.shape[0]) for n in numbers}
        crops = [n for n, box in boxes.items() if box is None]
        if crops:
            rows |= dict.fromkeys(crops, _embed_crop(tower, pixels))
        inside = {n: box for n, box in boxes.items() if box is not None}
        if inside:
            side = size if isinstance(size, int) else size(pixels)
            found = _embed_boxes(tower, pixels, np.stack(list(inside.values())), side)
            rows |= dict(zip(inside, found, strict=True))
    of_class: dict[str, list[Tensor]] = {name: [] for name in exemplars}
    for number, (name, _) in enumerate(every):
        of_class[name].append(rows[number])
    return {name: mean_direction(vectors) for name, vectors in of_class.items()}


def join_exemplars(
    names: Sequence[str], vectors: Mapping[str, Tensor], weight: float = 0.5
) -> tuple[tuple[str, ...], dict[str, ExemplarEmbedding]]:
    """Join classes given by names with classes given by pictures, for `set_vocabulary`.

    Args:
        names: Class names.
        vectors: Class name to the vector of its pictures, see `embed_exemplars`; its length has no
            effect. Names are compared as `read_names` gives them.
        weight: Share of the pictures in 0-1 for classes that are in both; a class that is not
            among `names` is given by its pictures alone.

    Returns:
        All classes, those of `names` first, and the embeddings of the pictures.

    Raises:
        ValueError: The weight is not in 0-1, there is no class, a vector has no direction, or two
            are of one class.
    """
    weight, named = check_weight(weight), read_names(list(names)) if names else []
    pictures: dict[str, ExemplarEmbedding] = {}
    for given, vector in vectors.items():
        (name,) = read_names([given])
        if name in pictures:
            raise ValueError(f'exemplars of {name!r}: has two vectors')
        if vector.ndim != 1 or not 0 < float(vector.norm()) < float('inf'):
            raise ValueError(
                f'exemplars of {name!r}: expected a vector with a direction, got {vector}'
            )
        unit = F.normalize(vector, dim=0)
        pictures[name] = ExemplarEmbedding(unit, weight if name in named else 1.0)
    return tuple(read_names(list(dict.fromkeys([*named, *pictures])))), pictures


def _embed_crop(tower: VisionTower, pixels: np.ndarray) -> Tensor:
    """Feature of a crop (RGB, uint8 of shape (h, w, 3)), shape (D)."""
    height, width = pixels.shape[:2]
    side = SURROUNDINGS * max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    canvas = np.empty((side, side, 3), np.uint8)
    canvas[:] = np.round(255 * np.array(tower.mean))
    canvas[top : top + height, left : left + width] = pixels
    box = np.array([[left, top, left + width, top + height]])
    return _embed_boxes(tower, canvas, box, CANVAS * tower.image_size)[0]


def _embed_boxes(tower: VisionTower, pixels: np.ndarray, boxes: np.ndarray, size: int) -> Tensor:
    """Features of boxes (R, 4), xyxy in pixels of the image; shape (R, D)."""
    height, width = longest_side_size(pixels.shape[0], pixels.shape[1], size)
    (resized,) = resize_by_pillow(pixels[None], height, width)
    scale = size / max(pixels.shape[:2])
    return _pool(tower, torch.from_numpy(resized).permute(2, 0, 1), boxes * scale)


@torch.no_grad()
def _pool(tower: VisionTower, image: Tensor, boxes_px: np.ndarray) -> Tensor:
    """Pool boxes from the dense map of an image, uint8 (3, H, W); padded to whole patches."""
    height, width = (round_up(side, tower.patch_size) for side in image.shape[-2:])
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (tower.mean, tower.std))
    batch = (pad_right_below([image], height, width) / 255 - mean) / std
    dense = tower.encode_dense(batch.to(next(tower.parameters(), batch)))
    return roi_pool(dense, [torch.from_numpy(boxes_px).float()], tower.patch_size)
