"""Evaluation: pure functions in `functional`, registered metrics in `metrics`."""

from .functional import (
    category_ids,
    mean_class_accuracy,
    mean_over_classes,
    mean_where_annotated,
    rank_of_truth,
    ranked_classes,
    ranked_correctness,
    split_average_precision,
)
from .metrics import OpenVocabCocoMetric, OpenVocabLVISMetric, RegionClassificationMetric

__all__ = [
    'OpenVocabCocoMetric',
    'OpenVocabLVISMetric',
    'RegionClassificationMetric',
    'category_ids',
    'mean_class_accuracy',
    'mean_over_classes',
    'mean_where_annotated',
    'rank_of_truth',
    'ranked_classes',
    'ranked_correctness',
    'split_average_precision',
]
