"""k-means clusters of dense features (paper, Figures 1c and 4)."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from clipself_mm.clip import VisionTower

DISCARDED = -1
"""Index of tokens in clusters that are too small."""

_GAP = 10
_TITLE_SIZE = 18
_BLANK = (236, 236, 236)


def cluster_dense_maps(
    maps: Tensor | Sequence[Tensor], clusters: int, seed: int = 0, min_share: float = 0.0
) -> list[Tensor]:
    """Cluster the tokens of each map separately by spherical k-means.

    Best of eight runs with k-means++ initialisation; deterministic for a seed.

    Args:
        maps: Dense maps, shape (N, D, h, w), or a list of (D, h, w) of any sizes.
        clusters: Number of clusters.
        seed: Seed of the initialisation.
        min_share: Clusters with a smaller share of the tokens are discarded, as in the paper.

    Returns:
        One map of cluster indices per image, int64 of shape (h, w), ordered by size: 0 is the
        largest cluster. Tokens of discarded clusters are `DISCARDED`. There are fewer clusters if
        tokens coincide.

    Raises:
        ValueError: `clusters` is less than 1 or more than the number of tokens.
    """
    results = []
    for dense in maps:
        points = F.normalize(dense.detach().float().cpu().flatten(1).T, dim=1)
        if not 1 <= clusters <= len(points):
            raise ValueError(
                f'clusters: expected 1 to {len(points)}, the number of tokens, got {clusters}'
            )
        generator = torch.Generator().manual_seed(seed)
        runs = [_spherical_kmeans(points, clusters, generator) for _ in range(8)]
        indices = max(runs, key=lambda run: run[1])[0]
        sizes = torch.bincount(indices, minlength=clusters)
        by_size = sizes.argsort(descending=True, stable=True)
        rank = torch.empty_like(by_size)
        rank[by_size] = torch.arange(clusters)
        rank[sizes < min_share * len(points)] = DISCARDED
        results.append(rank[indices].reshape(dense.shape[1:]))
    return results


def encode_dense_map(tower: VisionTower, image: Image.Image, size: int) -> Tensor:
    """Dense map of one image, its longest side resized to `size`.

    Both sides are rounded to whole patches; there is no padding and no cropping.

    Args:
        tower: The tower.
        image: Image of any mode and size.
        size: Longest side in pixels.

    Returns:
        Features of `encode_dense`, shape (D, h, w).
    """
    patch = tower.patch_size
    scale = size / max(image.size)
    width, height = (max(1, round(side * scale / patch)) * patch for side in image.size)
    resized = image.convert('RGB').resize((width, height), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(resized)).permute(2, 0, 1).float() / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (tower.mean, tower.std))
    device = next(tower.parameters()).device
    training = tower.training
    tower.eval()
    with torch.no_grad():
        dense = tower.encode_dense(((pixels - mean) / std)[None].to(device))[0]
    tower.train(training)
    return dense


def draw_clusters(
    images: Sequence[Image.Image],
    rows: Mapping[str, Sequence[Tensor]],
    width: int = 224,
) -> Image.Image:
    """A figure with the images in the first row and cluster maps in the rows below.

    Args:
        images: Images, one per column; at least one.
        rows: Title of a row to its cluster maps (`cluster_dense_maps`), one per image.
        width: Width of a column in pixels.

    Returns:
        The figure, RGB.
    """
    sizes = [(width, max(1, round(width * image.height / image.width))) for image in images]
    cells = {
        'input': [
            image.convert('RGB').resize(size, Image.Resampling.LANCZOS)
            for image, size in zip(images, sizes, strict=True)
        ]
    }
    for title, maps in rows.items():
        cells[title] = [
            paint_clusters(indices).resize(size, Image.Resampling.NEAREST)
            for indices, size in zip(maps, sizes, strict=True)
        ]

    font = ImageFont.load_default(_TITLE_SIZE)
    margin = max(round(font.getlength(title)) for title in cells) + 2 * _GAP
    row_height = max(height for _, height in sizes)
    panel = Image.new(
        'RGB',
        (margin + len(images) * (width + _GAP), len(cells) * (row_height + _GAP) + _GAP),
        'white',
    )
    pen = ImageDraw.Draw(panel)
    for row, (title, drawn) in enumerate(cells.items()):
        top = _GAP + row * (row_height + _GAP)
        pen.text((_GAP, top + row_height / 2), title, fill='black', font=font, anchor='lm')
        for column, cell in enumerate(drawn):
            left = margin + column * (width + _GAP)
            panel.paste(cell, (left, top + (row_height - cell.height) // 2))
    return panel


def draw_dense_clusters(
    images: Sequence[Image.Image],
    towers: Mapping[str, VisionTower],
    size: int,
    clusters: int = 8,
    seed: int = 0,
    min_share: float = 0.01,
) -> Image.Image:
    """Figure 4 of the paper: images and the clusters of each tower.

    Args:
        images: Images, at least one.
        towers: Title of a row to its tower.
        size: Longest side of a tower's input in pixels.
        clusters: Clusters per image.
        seed: Seed of the clustering.
        min_share: Clusters with a smaller share of the tokens are drawn grey.

    Returns:
        The figure, RGB.
    """
    rows = {
        title: cluster_dense_maps(
            [encode_dense_map(tower, image, size) for image in images], clusters, seed, min_share
        )
        for title, tower in towers.items()
    }
    return draw_clusters(images, rows)


def _spherical_kmeans(
    points: Tensor, clusters: int, generator: torch.Generator, steps: int = 50
) -> tuple[Tensor, float]:
    """One run on unit vectors (P, D): indices (P), and the sum of cosines with the centres."""
    first = int(torch.randint(len(points), (), generator=generator))
    centres = points[first : first + 1]
    while len(centres) < clusters:
        distance = (1 - (points @ centres.T).amax(dim=1)).clamp(min=0)
        # The constant allows sampling when all points coincide with a centre (distance 0).
        chosen = torch.multinomial(distance + 1e-12, 1, generator=generator)
        centres = torch.cat([centres, points[chosen]])
    indices = torch.full((len(points),), -1)
    for _ in range(steps):
        cosine, nearest = (points @ centres.T).max(dim=1)
        if torch.equal(nearest, indices):
            break
        indices = nearest
        sums = torch.zeros_like(centres).index_add_(0, indices, points)
        # An empty cluster restarts at the point farthest from its centre.
        empty = torch.bincount(indices, minlength=clusters) == 0
        sums[empty] = points[cosine.argmin()]
        centres = F.normalize(sums, dim=1)
    return indices, float(cosine.sum())


def paint_clusters(indices: Tensor) -> Image.Image:
    """One pixel per token, one colour per cluster; `DISCARDED` ones are grey."""
    labels = indices.numpy()
    colours = [_colour(index) for index in range(int(labels.max(initial=0)) + 1)]
    return Image.fromarray(np.array([*colours, _BLANK], np.uint8)[labels])


def _colour(index: int) -> tuple[int, int, int]:
    """Colour of a cluster; hues are spaced by the golden ratio."""
    hue = (0.58 + index * 0.618034) % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, (0.62, 0.42)[index // 2 % 2], 0.9)
    return round(255 * red), round(255 * green), round(255 * blue)
