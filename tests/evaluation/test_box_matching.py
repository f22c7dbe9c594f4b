"""Matching, AP, calibration, thresholds and kinds of errors, by hand and against pycocotools."""

import numpy as np
import pytest

from clipself_mm.evaluation.functional import (
    KINDS,
    BoxTruth,
    average_precision,
    confusion_matrix,
    error_costs,
    image_errors,
    match_boxes,
    overlaps,
    reliability_bins,
    threshold_for_precision,
    truth_by_image,
)
from tests.evaluation.toy_detection import CLASSES, IDS, coco_judge, random_task


@pytest.mark.parametrize('seed', range(4))
def test_ap50_per_class_is_that_of_pycocotools(seed):
    """With a crowd, duplicates, equal scores and a class without objects."""
    content, found = random_task(seed=seed)
    label_of = {IDS[name]: label for label, name in enumerate(CLASSES)}
    truth = truth_by_image(
        [
            dict(entry, category_id=label_of[entry['category_id']] + 1)
            for entry in content['annotations']
            if entry['category_id'] in label_of
        ]
    )
    scores, outcomes, labels = [], [], []
    for image, detections in found.items():
        ranked = sorted(detections, key=lambda detection: -detection[2])
        xywh = np.array([box for _, box, _ in ranked])
        own = np.array([CLASSES.index(name) for name, _, _ in ranked])
        boxes = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1)
        outcomes.append(match_boxes(overlaps(boxes, truth[image]), own, truth[image])[0])
        scores.append([score for *_, score in ranked])
        labels.append(own)
    counts = sum(
        np.bincount(boxes.labels[~boxes.crowd], minlength=len(CLASSES)) for boxes in truth.values()
    )
    mine = average_precision(*map(np.concatenate, (scores, outcomes, labels)), counts)
    judge = coco_judge(content, found, 'bbox', CLASSES)
    theirs = judge.eval['precision'][0, :, :, 0, -1].mean(0)
    by_id = [label_of[key] for key in sorted(label_of)]
    assert mine[by_id] == pytest.approx(theirs, abs=1e-12)
    assert mine[CLASSES.index('eel')] == -1


def truth_of(*objects):
    """Boxes of (x, y, width, height, label)."""
    rows = np.array(objects, float)
    return BoxTruth(rows[:, :4], rows[:, 4].astype(int), np.zeros(len(rows), bool))


def test_each_kind_of_error():
    truth = truth_of((0, 0, 10, 10, 0), (50, 0, 10, 10, 1), (0, 50, 10, 10, 2), (50, 50, 10, 10, 2))
    given = {
        (0, 0, 10, 10, 0): None,
        (0, 0, 10, 9, 0): 'duplicate',
        (50, 0, 60, 10, 0): 'wrong class',
        (0, 53, 10, 67, 2): 'badly placed',
        (54, 0, 66, 10, 2): 'wrong class, badly placed',
        (80, 80, 90, 90, 2): 'background',
    }
    rows = np.array([*given], float)
    scores = np.linspace(0.9, 0.4, len(rows))
    errors = image_errors(rows[:, :4], scores, rows[:, 4].astype(int), truth)
    assert [KINDS[kind] if kind >= 0 else None for kind in errors.kinds] == [*given.values()]
    assert errors.missed.tolist() == [3]
    none = image_errors(rows[:, :4], scores, rows[:, 4].astype(int), None)
    assert {KINDS[kind] for kind in none.kinds} == {'background'}


def test_cost_of_an_error_is_the_ap_without_it():
    """Class 0: a hit below background; class 1: one object, found as class 0; class 2: missed."""
    truth = truth_of((0, 0, 10, 10, 0), (50, 0, 10, 10, 1), (0, 50, 10, 10, 2))
    boxes = np.array([[80, 80, 90, 90], [0, 0, 10, 10], [50, 0, 60, 10]], float)
    errors = image_errors(boxes, np.array([0.9, 0.8, 0.7]), np.array([0, 0, 0]), truth)
    costs = error_costs([errors], [truth], 3, [0, 1, 2])
    assert costs['background'] == pytest.approx((1 - 0.5) / 3)
    assert costs['wrong class'] == pytest.approx(1 / 3)  # class 1 rises from 0 to 1
    assert costs['missed'] == pytest.approx(1 / 3)
    assert costs['duplicate'] == costs['badly placed'] == 0


def test_confusion_counts_pairs_and_what_is_left():
    truth = truth_of((0, 0, 10, 10, 0), (50, 0, 10, 10, 1))
    found = np.array([[0, 0, 10, 10], [80, 80, 90, 90]], float), np.array([1, 0])
    matrix = confusion_matrix([found, found], [truth, None], 2)
    assert matrix.tolist() == [[0, 1, 0], [0, 0, 1], [2, 1, 0]]


def test_calibration_error_by_hand():
    scores = np.array([0.9, 0.9, 0.1, 0.1, 0.5])
    bins = reliability_bins(scores, np.array([1, 0, 0, 0, -1]), bins=10)
    assert bins.counts.sum() == 4  # an ignored detection says nothing
    assert bins.error == pytest.approx(0.5 * abs(0.9 - 0.5) + 0.5 * 0.1)
    perfect = reliability_bins(np.repeat([0.25, 0.75], 4), np.array([1, 0, 0, 0, 1, 1, 1, 0]), 10)
    assert perfect.error == pytest.approx(0)
    assert reliability_bins(np.array([1.0]), np.array([1])).error == pytest.approx(0)


def test_threshold_is_the_least_score_of_the_precision():
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    outcomes = np.array([1, 1, 0, 1, 0])
    assert threshold_for_precision(scores, outcomes, 0.75) == 0.6
    assert threshold_for_precision(scores[::-1], outcomes[::-1], 1.0) == 0.8
    assert threshold_for_precision(scores, np.zeros(5, int), 0.5) is None
    equal = np.array([0.9, 0.5, 0.5])  # a hit of two equal scores cannot be taken alone
    assert threshold_for_precision(equal, np.array([1, 1, 0]), 1.0) == 0.9
