"""The summary over some classes against pycocotools' own on these classes only, and by hand."""

import numpy as np
import pytest

from clipself_mm.evaluation import mean_where_annotated, split_average_precision
from tests.evaluation.toy_detection import BASE, CLASSES, IDS, ITEMS, NOVEL, coco_judge, random_task


@pytest.fixture(scope='module')
def task():
    return random_task()


@pytest.mark.parametrize('kind', ['bbox', 'segm'])
def test_equals_pycocotools_on_the_subset(task, kind):
    content, found = task
    whole = coco_judge(content, found, kind, CLASSES)
    seen = []
    for names in (NOVEL, BASE, CLASSES, ('cow',), ('eel',)):
        indices = [whole.params.catIds.index(IDS[name]) for name in names]
        summary = split_average_precision(whole.eval['precision'], whole.eval['recall'], indices)
        expected = coco_judge(content, found, kind, names).stats
        assert list(summary) == ITEMS
        assert list(summary.values()) == pytest.approx(list(expected), abs=1e-12)
        seen.append(summary['ap'])
    assert len(set(seen)) == len(seen)  # the splits differ, so they could have been confused
    assert seen[-1] == -1  # no eel is annotated


def test_by_hand():
    precision = np.full((10, 101, 3, 4, 2), -1.0)
    recall = np.full((10, 3, 4, 2), -1.0)
    precision[:, :, 0] = 0.25
    precision[0, :, 0, 0, 1] = 0.5
    precision[5, :, 0, 0, 1] = 0.75
    precision[:, :, 0, 2, 1] = 0.125
    precision[:, :, 1, 0] = 1
    recall[:, 0, 0] = [0.5, 0.75]
    recall[:, 0, 3] = [0.1, 0.2]
    recall[:, 1, 0] = 1
    summary = split_average_precision(precision, recall, [0, 2], max_dets=(10, 300))
    assert summary == pytest.approx(
        dict(
            ap=(0.5 + 0.75 + 8 * 0.25) / 10,
            ap50=0.5,
            ap75=0.75,
            ap_s=0.25,
            ap_m=0.125,
            ap_l=0.25,
            ar10=0.5,
            ar300=0.75,
            ar_s=-1,
            ar_m=-1,
            ar_l=0.2,
        )
    )
    assert split_average_precision(precision, recall, [0, 1], (10, 300))['ap50'] == 0.75
    assert set(split_average_precision(precision, recall, [], (10, 300)).values()) == {-1}
    assert set(split_average_precision(precision, recall, [2], (10, 300)).values()) == {-1}


def test_mean_where_annotated_keeps_zeros():
    assert mean_where_annotated(np.array([-1, 0, 1.0])) == 0.5
    assert mean_where_annotated(np.array([-1.0])) == -1


@pytest.mark.parametrize('shape', [(9, 101, 1, 4, 3), (10, 101, 1, 4, 1)])
def test_other_thresholds_and_limits_raise(shape):
    with pytest.raises(ValueError, match=rf'\({shape[0]}, 101, 1, 4, {shape[-1]}\).*\b10\b.*\b3\b'):
        split_average_precision(np.zeros(shape), np.zeros((shape[0], *shape[2:])), [0])
