"""What a tower groups together: k-means of its dense features (paper, Figures 1c and 4).

A good dense feature gives one object one colour; the original CLIP ViT's maps are noisy.
"""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from clipself_mm.clip import VisionTower

#: Index of a token whose cluster was discarded as too small.
DISCARDED = -1

_GAP = 10
_TITLE_SIZE = 18
_BLANK = (236, 236, 236)


def cluster_dense_maps(
    maps: Tensor | Sequence[Tensor], clusters: int, seed: int = 0, min_share: float = 0.0
) -> list[Tensor]:
    """Group the tokens of each map by the direction of their features.

    Spherical k-means, each map on its own: k-means++ starts, Lloyd's steps, the best of eight
    runs. The same input and seed give the same answer.

    Args:
        maps: Dense maps, shape (N, D, h, w), or a list of (D, h, w) of any sizes.
        clusters: Number of clusters.
        seed: Seed of the starts.
        min_share: Clusters with a smaller share of the tokens are discarded, as the paper does
            "for clarity".

    Returns:
        Cluster indices, one int64 map (h, w) each: 0 is the largest cluster, `DISCARDED` stands
        for tokens of discarded ones. Fewer clusters appear when tokens coincide.

    Raises:
        ValueError: There are not as many tokens as clusters, or `clusters` is less than 1.
    """
    answers = []
    for dense in maps:
        points = F.normalize(dense.detach().float().cpu().flatten(1).T, dim=1)
        if not 1 <= clusters <= len(points):
            raise ValueError(f'cannot make {clusters} clusters of {len(points)} tokens')
        generator = torch.Generator().manual_seed(seed)
        runs = [_spherical_kmeans(points, clusters, generator) for _ in range(8)]
        indices = max(runs, key=lambda run: run[1])[0]
        sizes = torch.bincount(indices, minlength=clusters)
        by_size = sizes.argsort(descending=True, stable=True)
        rank = torch.empty_like(by_size)
        rank[by_size] = torch.arange(clusters)
        rank[sizes < min_share * len(points)] = DISCARDED
        answers.append(rank[indices].reshape(dense.shape[1:]))
    return answers


def encode_dense_map(tower: VisionTower, image: Image.Image, size: int) -> Tensor:
    """Dense features of one picture, its longest side resized to `size`.

    Both sides are rounded to whole patches, so nothing is padded or cut.

    Args:
        tower: Image tower.
        image: Picture of any mode and shape.
        size: Longest side, pixels.

    Returns:
        L2-normalised features, shape (D, h, w).
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
    """A panel: the pictures in the first row, their cluster maps in the rows below.

    Args:
        images: Pictures, one column each.
        rows: Title to the cluster maps of all pictures, from `cluster_dense_maps`.
        width: Width of a column, pixels.

    Returns:
        RGB picture.

    Raises:
        ValueError: There is no picture, or a row has not one map for each picture.
    """
    if not images:
        raise ValueError('there is no picture to draw: images is empty')
    for title, maps in rows.items():
        if len(maps) != len(images):
            raise ValueError(f'row {title!r} has {len(maps)} maps for {len(images)} pictures')
    sizes = [(width, max(1, round(width * image.height / image.width))) for image in images]
    cells = {
        'input': [
            image.convert('RGB').resize(size, Image.Resampling.LANCZOS)
            for image, size in zip(images, sizes, strict=True)
        ]
    }
    for title, maps in rows.items():
        cells[title] = [
            _paint(indices).resize(size, Image.Resampling.NEAREST)
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
    for row, (title, pictures) in enumerate(cells.items()):
        top = _GAP + row * (row_height + _GAP)
        pen.text((_GAP, top + row_height / 2), title, fill='black', font=font, anchor='lm')
        for column, picture in enumerate(pictures):
            left = margin + column * (width + _GAP)
            panel.paste(picture, (left, top + (row_height - picture.height) // 2))
    return panel


def draw_dense_clusters(
    images: Sequence[Image.Image],
    towers: Mapping[str, VisionTower],
    size: int,
    clusters: int = 8,
    seed: int = 0,
    min_share: float = 0.01,
) -> Image.Image:
    """The panel of Figure 4: pictures, and what each tower groups together in them.

    Args:
        images: Pictures.
        towers: Title of a row to its tower.
        size: Longest side of a tower's input, pixels.
        clusters: Clusters of each picture.
        seed: Seed of the clustering.
        min_share: Clusters with a smaller share of the tokens are drawn grey.

    Returns:
        RGB picture.
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
    """One run on unit vectors (P, D): indices (P,) and the sum of cosines to the centres."""
    first = int(torch.randint(len(points), (), generator=generator))
    centres = points[first : first + 1]
    while len(centres) < clusters:
        distance = (1 - (points @ centres.T).amax(dim=1)).clamp(min=0)
        # The small constant lets coinciding points, at distance 0, be drawn when nothing is left.
        chosen = torch.multinomial(distance + 1e-12, 1, generator=generator)
        centres = torch.cat([centres, points[chosen]])
    indices = None
    for _ in range(steps):
        cosine, nearest = (points @ centres.T).max(dim=1)
        if indices is not None and torch.equal(nearest, indices):
            break
        indices = nearest
        sums = torch.zeros_like(centres).index_add_(0, indices, points)
        # A cluster that lost all its points starts anew at the point served worst.
        empty = torch.bincount(indices, minlength=clusters) == 0
        sums[empty] = points[cosine.argmin()]
        centres = F.normalize(sums, dim=1)
    return indices, float(cosine.sum())


def _paint(indices: Tensor) -> Image.Image:
    """One pixel a token, every cluster in its own colour."""
    indices = indices.numpy()
    colours = [_colour(index) for index in range(int(indices.max(initial=0)) + 1)]
    return Image.fromarray(np.array([*colours, _BLANK], np.uint8)[indices])


def _colour(index: int) -> tuple[int, int, int]:
    """Colour of a cluster: hues a golden section apart, so that neighbours differ."""
    hue = (0.58 + index * 0.618034) % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, (0.62, 0.42)[index // 2 % 2], 0.9)
    return round(255 * red), round(255 * green), round(255 * blue)
