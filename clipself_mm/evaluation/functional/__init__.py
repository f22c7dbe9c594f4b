"""Pure functions of the evaluation."""

from .annotation_file import annotation_file
from .box_matching import (
    HIT,
    IGNORED,
    BoxTruth,
    average_precision,
    match_boxes,
    overlaps,
    truth_by_image,
)
from .calibration import ReliabilityBins, reliability_bins, threshold_for_precision
from .error_kinds import (
    KINDS,
    ImageErrors,
    confusion_matrix,
    error_costs,
    image_errors,
)
from .ground_truth import LVIS_KEYS, ground_truth
from .proposal_recall import proposal_recall
from .region_accuracy import (
    mean_over_classes,
    rank_of_truth,
)
from .split_average_precision import mean_where_annotated, split_average_precision

__all__ = [
    'HIT',
    'IGNORED',
    'KINDS',
    'LVIS_KEYS',
    'BoxTruth',
    'ImageErrors',
    'ReliabilityBins',
    'annotation_file',
    'average_precision',
    'confusion_matrix',
    'error_costs',
    'ground_truth',
    'image_errors',
    'match_boxes',
    'mean_over_classes',
    'mean_where_annotated',
    'overlaps',
    'proposal_recall',
    'rank_of_truth',
    'reliability_bins',
    'split_average_precision',
    'threshold_for_precision',
    'truth_by_image',
]
