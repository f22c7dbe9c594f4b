import numpy as np
import pytest
import torch

from clipself_mm.evaluation.functional import (
    mean_class_accuracy,
    mean_over_classes,
    rank_of_truth,
    ranked_classes,
    ranked_correctness,
)


def test_ranking_is_best_first_and_ties_go_to_the_lower_index():
    similarity = torch.tensor([[0.1, 0.9, 0.5, 0.9], [0.0, 0.0, 0.0, 0.0]])
    assert ranked_classes(similarity, 3).tolist() == [[1, 3, 2], [0, 1, 2]]


def test_ranked_correctness_by_hand():
    similarity = torch.tensor([[0.1, 0.9, 0.5], [0.7, 0.2, 0.1], [0.3, 0.2, 0.1]])
    labels = torch.tensor([2, 0, 2])
    assert ranked_correctness(similarity, labels, 2).tolist() == [
        [False, True],
        [True, False],
        [False, False],
    ]


def test_fewer_classes_than_ranks():
    similarity = torch.tensor([[0.1, 0.9]])
    assert ranked_correctness(similarity, torch.tensor([0]), 5).tolist() == [[False, True]]


def test_rank_of_truth():
    topk = torch.tensor([[4, 2, 7], [1, 0, 3], [5, 6, 8]])
    assert rank_of_truth(topk, torch.tensor([4, 3, 2])).tolist() == [0, 2, 3]
    assert rank_of_truth(topk[:0], torch.zeros(0, dtype=torch.int64)).tolist() == []


def test_mean_is_over_classes_not_regions():
    # Class 0: 1 of 3 right, class 2: 1 of 1; class 1 never occurs.
    correct = torch.tensor([[1], [0], [0], [1]])
    labels = torch.tensor([0, 0, 0, 2])
    assert mean_class_accuracy(correct, labels) == pytest.approx((1 / 3 + 1) / 2, abs=1e-15)


def test_a_region_counts_once_whichever_column_is_right():
    correct = torch.tensor([[0, 1], [1, 0], [0, 0]])
    labels = torch.tensor([0, 0, 0])
    assert mean_class_accuracy(correct, labels) == pytest.approx(2 / 3)
    assert mean_class_accuracy(correct[:, :1], labels) == pytest.approx(1 / 3)


def test_half_rounding_is_the_releases():
    # 1/3 in half precision is 0.333251953125.
    answer = mean_over_classes(np.array([1, 0]), np.array([3, 0]), half_precision=True)
    assert answer == 0.333251953125


def test_no_region_is_an_error():
    with pytest.raises(ValueError, match='no regions'):
        mean_class_accuracy(torch.zeros(0, 5), torch.zeros(0, dtype=torch.int64))
