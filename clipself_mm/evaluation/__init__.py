"""Evaluation: pure functions in `functional`, registered metrics in `metrics`."""

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
from .resumable_test_loop import ResumableTestLoop

__all__ = [
    'OpenVocabCocoMetric',
    'OpenVocabLVISMetric',
    'OpenVocabProposalRecall',
    'ProposalJsonWriter',
    'RegionClassificationMetric',
    'RegionTextJsonWriter',
    'ResumableTestLoop',
    'mean_over_classes',
    'mean_where_annotated',
    'rank_of_truth',
    'split_average_precision',
]
