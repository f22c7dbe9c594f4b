"""Pure functions of the evaluation: tensors in, numbers out."""

from .region_accuracy import (
    mean_class_accuracy,
    mean_over_classes,
    rank_of_truth,
    ranked_classes,
    ranked_correctness,
)

__all__ = [
    'mean_class_accuracy',
    'mean_over_classes',
    'rank_of_truth',
    'ranked_classes',
    'ranked_correctness',
]
