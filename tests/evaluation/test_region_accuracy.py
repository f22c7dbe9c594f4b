import numpy as np
import pytest
import torch

from clipself_mm.evaluation.functional import mean_over_classes, rank_of_truth


def test_rank_of_truth():
    topk = torch.tensor([[4, 2, 7], [1, 0, 3], [5, 6, 8]])
    assert rank_of_truth(topk, torch.tensor([4, 3, 2])).tolist() == [0, 2, 3]
    assert rank_of_truth(topk[:0], torch.zeros(0, dtype=torch.int64)).tolist() == []


def test_mean_is_over_classes_not_regions():
    # Class 0: 1 of 3 right, class 2: 1 of 1; class 1 never occurs.
    mean = mean_over_classes(np.array([1, 0, 1]), np.array([3, 0, 1]))
    assert mean == pytest.approx((1 / 3 + 1) / 2, abs=1e-15)


def test_rounding_to_half_precision():
    # 1/3 in half precision is 0.333251953125.
    answer = mean_over_classes(np.array([1, 0]), np.array([3, 0]), half_precision=True)
    assert answer == 0.333251953125


def test_no_region_raises():
    with pytest.raises(ValueError, match='region'):
        mean_over_classes(np.zeros(3, np.int64), np.zeros(3, np.int64))
