"""Selection of proposals, worked by hand and against a plain loop."""

import numpy as np
import pytest

from clipself_mm.datasets.proposals.conversion import ProposalSelection

BOXES = np.array(
    [
        [0, 0, 10, 10],  # 100 px
        [0, 0, 10, 8],  # 80 px, IoU 0.8 with the first
        [50, 50, 4, 25],  # 100 px
        [5, 0, 10, 10],  # IoU 1/3 with the first, 40/140 with the second
        [70, 70, 2, 2],  # 4 px
    ],
    np.float64,
)
SCORES = np.array([0.6, 0.9, 0.5, 0.7, 0.8])


def chosen(scores=SCORES, boxes=BOXES, **options):
    return ProposalSelection(**options).select(boxes, scores).tolist()


def test_best_first():
    assert chosen() == [1, 4, 3, 0, 2]
    assert chosen(max_per_img=2) == [1, 4]


def test_score_equal_to_the_threshold_is_kept():
    assert chosen(score_thr=0.7) == [1, 4, 3]
    assert chosen(score_thr=0.91) == []


def test_min_size_limits_the_area():
    assert chosen(min_size=10) == [3, 0, 2]  # 4 x 25 has the area of 10 x 10
    assert chosen(min_size=10.01) == []


def test_nms_keeps_the_better_box():
    assert chosen(nms_iou=0.5) == [1, 4, 3, 2]
    assert chosen(nms_iou=0.81) == [1, 4, 3, 0, 2]
    assert chosen(nms_iou=0.28) == [1, 4, 2]  # 40 / 140 is 0.286
    assert chosen(nms_iou=0.29) == [1, 4, 3, 2]


def test_boxes_below_the_thresholds_suppress_nothing():
    small = np.array([[0, 0, 3, 3], [0, 0, 3, 4]], np.float64)
    assert chosen(np.array([0.9, 0.8]), small, nms_iou=0.5) == [0]
    assert chosen(np.array([0.9, 0.8]), small, nms_iou=0.5, min_size=3.2) == [1]


def test_suppressed_boxes_do_not_count_in_max_per_img():
    assert chosen(nms_iou=0.5, max_per_img=4) == [1, 4, 3, 2]


def test_boxes_without_scores_are_ranked_by_the_order_of_the_file():
    assert chosen(None) == [0, 1, 2, 3, 4]
    assert chosen(None, nms_iou=0.5) == [0, 2, 3, 4]
    assert chosen(None, max_per_img=1) == [0]


def test_equal_scores_keep_the_order_of_the_file():
    assert chosen(np.full(5, 0.5)) == [0, 1, 2, 3, 4]
    assert chosen(np.full(5, 0.5), nms_iou=0.5) == [0, 2, 3, 4]


def test_boxes_without_area_are_dropped():
    boxes = np.array([[0, 0, 0, 5], [0, 0, 5, 0], [9, 9, -2, -2], [0, 0, 1, 1]], np.float64)
    assert chosen(np.ones(4), boxes) == [3]


def test_no_box():
    assert chosen(np.zeros(0), np.zeros((0, 4)), nms_iou=0.5) == []


def overlap(one, other):
    (x, y, w, h), (u, v, s, t) = one, other
    width = min(x + w, u + s) - max(x, u)
    height = min(y + h, v + t) - max(y, v)
    both = max(width, 0) * max(height, 0)
    return both / (w * h + s * t - both)


def test_against_a_loop():
    random = np.random.default_rng(0)
    boxes = np.concatenate([random.uniform(0, 30, (60, 2)), random.uniform(2, 30, (60, 2))], 1)
    scores = random.uniform(size=60)
    expected = []
    for index in sorted(range(60), key=lambda i: -scores[i]):
        good = scores[index] >= 0.2 and boxes[index, 2] * boxes[index, 3] >= 25
        if good and all(overlap(boxes[index], boxes[kept]) <= 0.4 for kept in expected):
            expected.append(index)
    found = chosen(scores, boxes, score_thr=0.2, min_size=5, nms_iou=0.4, max_per_img=100)
    assert found == expected
    assert 5 < len(found) < 40
    assert chosen(scores, boxes, score_thr=0.2, min_size=5, nms_iou=0.4, max_per_img=5) == found[:5]


@pytest.mark.parametrize(
    ('options', 'text'),
    [
        (dict(nms_iou=1.1), r'nms_iou.*\b1\.1\b'),
        (dict(max_per_img=0), r'max_per_img.*\b0\b'),
        (dict(min_size=-1), r'min_size.* -1\b'),
        (dict(min_size=float('nan')), r'min_size.*\bnan\b'),
    ],
)
def test_numbers_out_of_range_raise(options, text):
    with pytest.raises(ValueError, match=text):
        ProposalSelection(**options)
