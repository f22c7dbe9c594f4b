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
from .metrics import (
    OpenVocabCocoMetric,
    OpenVocabLVISMetric,
    ProposalJsonWriter,
    RegionClassificationMetric,
)

__all__ = [
    'OpenVocabCocoMetric',
    'OpenVocabLVISMetric',
    'ProposalJsonWriter',
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
