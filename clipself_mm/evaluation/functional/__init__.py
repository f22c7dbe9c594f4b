"""Pure functions of the evaluation."""

from .annotation_file import annotation_file
from .ground_truth import LVIS_KEYS, ground_truth
from .proposal_recall import proposal_recall
from .region_accuracy import (
    mean_over_classes,
    rank_of_truth,
)
from .split_average_precision import mean_where_annotated, split_average_precision

__all__ = [
    'LVIS_KEYS',
    'annotation_file',
    'ground_truth',
    'mean_over_classes',
    'mean_where_annotated',
    'proposal_recall',
    'rank_of_truth',
    'split_average_precision',
]
