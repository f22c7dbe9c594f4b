"""Evaluation: pure functions in `functional`, registered metrics in `metrics`."""

from .functional import (
    mean_class_accuracy,
    mean_over_classes,
    rank_of_truth,
    ranked_classes,
    ranked_correctness,
)
from .metrics import RegionClassificationMetric

__all__ = [
    'RegionClassificationMetric',
    'mean_class_accuracy',
    'mean_over_classes',
    'rank_of_truth',
    'ranked_classes',
    'ranked_correctness',
]
