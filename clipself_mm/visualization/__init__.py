"""Figures: regions of a data set, clusters of dense features, detections, segmentations."""

from .dense_clip import DenseCLIP, load_tower
from .dense_clusters import (
    cluster_dense_maps,
    draw_clusters,
    draw_dense_clusters,
    encode_dense_map,
    paint_clusters,
)
from .detections import OpenVocabVisualizer, draw_detections
from .segmentation_overlay import draw_panoptic, draw_segmentation

__all__ = [
    'DenseCLIP',
    'OpenVocabVisualizer',
    'cluster_dense_maps',
    'draw_clusters',
    'draw_dense_clusters',
    'draw_detections',
    'draw_panoptic',
    'draw_segmentation',
    'encode_dense_map',
    'load_tower',
    'paint_clusters',
]
