"""Evaluation: pure functions in `functional`, registered metrics in `metrics`."""

from .accuracy_table import AccuracyRow, AccuracyTable, read_accuracy
from .functional import (
    mean_over_classes,
    mean_where_annotated,
    rank_of_truth,
    split_average_precision,
)
from .metrics import (
    OpenVocabCocoMetric,
    OpenVocabLVISMetric,
    OpenVocabProposalRecall,
    ProposalJsonWriter,
    RegionClassificationMetric,
    RegionTextJsonWriter,
)
from .region_accuracy_sweep import measure_by_size
from .route_title import route_title

__all__ = [
    'AccuracyRow',
    'AccuracyTable',
    'OpenVocabCocoMetric',
    'OpenVocabLVISMetric',
    'OpenVocabProposalRecall',
    'ProposalJsonWriter',
    'RegionClassificationMetric',
    'RegionTextJsonWriter',
    'mean_over_classes',
    'mean_where_annotated',
    'measure_by_size',
    'rank_of_truth',
    'read_accuracy',
    'route_title',
    'split_average_precision',
]
