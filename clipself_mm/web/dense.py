"""What the page's tab of dense features computes: heat maps of a word, k-means."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch.nn.functional as F
from matplotlib import colormaps
from PIL import Image

from clipself_mm.clip import TextTower
from clipself_mm.detection import OpenVocabDetector
from clipself_mm.visualization import DenseCLIP, cluster_dense_maps, paint_clusters

from .detection import read_words
from .drawing import fit
from .images import PageImage

FIGURE_SIDE = 512
"""Longest side of a figure in pixels."""


class HeatMap(NamedTuple):
    """The heat map of a word."""

    figure: np.ndarray
    """RGB, uint8 of shape (H, W, 3): black at `low`, yellow at `high`, over the gray image."""
    low: float
    """Least cosine."""
    high: float
    """Greatest cosine."""


def tower_of(detector: OpenVocabDetector) -> DenseCLIP:
    """The tower of a detector, with the text tower of its class names.

    Raises:
        ValueError: The detector has no text tower.
    """
    text = detector.model.roi_head.bbox_head.fc_cls.text.text
    if text is None:
        raise ValueError('the detector has no text tower, which the words of the page need')
    tower = detector.model.backbone.tower
    return DenseCLIP(tower, TextTower(**text).to(next(tower.parameters()).device))


def input_size(detector: OpenVocabDetector, image: PageImage) -> int:
    """Longest side of an image in the detector's input, in pixels."""
    sample = detector.inferencer.pipeline(dict(img=image.rgb[..., ::-1].copy()))
    return max(sample['inputs'].shape[-2:])


def draw_heat_map(tower: DenseCLIP, image: PageImage, word: str, size: int) -> HeatMap:
    """Draw where a tower's dense features match a word.

    Args:
        tower: Image and text tower.
        image: The image.
        word: One name or phrase.
        size: Longest side of the tower's input in pixels.

    Raises:
        ValueError: There is no word or several, or it is too long; the text is a sentence.
    """
    words = read_words(word)
    if len(words) > 1:
        raise ValueError(f'{len(words)} names are too many for a heat map: type one')
    pixels = fit(image.rgb, FIGURE_SIDE)
    cosines = tower.similarity(Image.fromarray(image.rgb), words, size)
    (heat,) = F.interpolate(cosines[None], pixels.size[::-1], mode='bilinear')[0].cpu().numpy()
    low, high = float(heat.min()), float(heat.max())
    shares = (heat - low) / max(high - low, 1e-6)
    colours = Image.fromarray(colormaps['inferno'](shares, bytes=True)[..., :3])
    gray = pixels.convert('L').convert('RGB')
    return HeatMap(np.asarray(Image.blend(gray, colours, 0.7)), low, high)


def draw_groups(tower: DenseCLIP, image: PageImage, groups: int, size: int) -> np.ndarray:
    """Draw the k-means clusters of a tower's dense features, one colour each.

    Args:
        tower: Its image tower is used.
        image: The image.
        groups: Number of clusters, at least 1.
        size: Longest side of the tower's input in pixels.

    Returns:
        RGB, uint8 of shape (H, W, 3).

    Raises:
        ValueError: There are fewer tokens than clusters.
    """
    (clusters,) = cluster_dense_maps([tower.dense_map(Image.fromarray(image.rgb), size)], groups)
    figure_size = fit(image.rgb, FIGURE_SIDE).size
    return np.asarray(paint_clusters(clusters).resize(figure_size, Image.Resampling.NEAREST))
