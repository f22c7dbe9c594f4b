"""Recall of proposals by hand, against a plain loop, and against mmdet's own numbers for all."""

import json

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric
from mmengine.registry import METRICS

from clipself_mm.evaluation.functional import proposal_recall
from tests.evaluation.toy_detection import (
    BASE,
    CLASSES,
    IDS,
    META,
    NOVEL,
    annotation,
    content_of,
    evaluate,
    random_task,
    sample,
)


def judge(path, content, predicted, **config):
    return evaluate(path, content, predicted, type='OpenVocabProposalRecall', **config)


def proposals(image_id, rows):
    """Output of an RPN: boxes (x, y, width, height) and scores, all labels 0."""
    return sample(image_id, [('ant', box, score) for box, score in rows], masks=False)


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'truth.json'


def test_by_hand(path):
    """Proposals with IoU 1, 0.8 and 0.5 (in rank 1, 2 and 11) on base, novel and base objects."""
    truth = content_of(
        [1, 2],
        [
            annotation(1, 'ant', [0, 0, 20, 20]),
            annotation(1, 'bee', [100, 100, 20, 20]),
            annotation(2, 'cow', [0, 0, 40, 20]),
            annotation(2, 'dog', [200, 200, 50, 50]),
            annotation(2, 'gnu', [100, 0, 50, 50]),  # no class of the data set
        ],
    )
    first = [([0, 0, 20, 20], 0.9), ([100, 100, 20, 16], 0.8)]
    second = [([100, 0, 50, 50], 0.9)] * 10 + [([0, 0, 20, 20], 0.1)]
    numbers = judge(path, truth, [proposals(1, first), proposals(2, second)])
    # IoU 0.8 passes 7 of the ten thresholds 0.50 ... 0.95, IoU 0.5 passes one.
    assert numbers == pytest.approx(
        {
            'proposals/novel_ar10': 0.7 / 2,
            'proposals/novel_ar10_iou50': 1 / 2,
            'proposals/novel_ar100': 0.7 / 2,
            'proposals/novel_ar100_iou50': 1 / 2,
            'proposals/base_ar10': 1 / 2,
            'proposals/base_ar10_iou50': 1 / 2,
            'proposals/base_ar100': (1 + 0.1) / 2,
            'proposals/base_ar100_iou50': 1,
            'proposals/all_ar10': 1.7 / 4,
            'proposals/all_ar10_iou50': 2 / 4,
            'proposals/all_ar100': 1.8 / 4,
            'proposals/all_ar100_iou50': 3 / 4,
        }
    )


def test_a_proposal_matches_one_object(path):
    twice = [annotation(1, 'ant', [0, 0, 20, 20]), annotation(1, 'cow', [0, 0, 20, 20])]
    numbers = judge(path, content_of([1], twice), [proposals(1, [([0, 0, 20, 20], 0.9)])])
    assert numbers['proposals/base_ar10'] == 0.5
    assert numbers['proposals/novel_ar10'] == numbers['proposals/novel_ar10_iou50'] == -1


def test_crowds_and_other_images_do_not_count(path):
    crowd = dict(annotation(1, 'ant', [100, 100, 90, 90]), iscrowd=1)
    truth = [annotation(1, 'ant', [0, 0, 20, 20]), crowd, annotation(2, 'ant', [0, 0, 9, 9])]
    numbers = judge(path, content_of([1, 2], truth), [proposals(1, [([0, 0, 20, 20], 0.9)])])
    assert numbers['proposals/base_ar100'] == 1


def test_no_proposal_at_all(path):
    truth = content_of([1], [annotation(1, 'ant', [0, 0, 20, 20])])
    numbers = judge(path, truth, [proposals(1, [])])
    assert numbers['proposals/all_ar100'] == numbers['proposals/all_ar100_iou50'] == 0


def test_labels_are_ignored(path):
    content, found = random_task(images=4)
    labelled = [sample(image, rows, masks=False) for image, rows in found.items()]
    numbers = judge(path, content, labelled)
    for element in labelled:
        del element.pred_instances.labels
    assert judge(path, content, labelled) == numbers


def overlap(one, other):
    (x, y, w, h), (u, v, s, t) = one, other
    width = min(x + w, u + s) - max(x, u)
    height = min(y + h, v + t) - max(y, v)
    both = max(width, 0) * max(height, 0)
    return both / (w * h + s * t - both)


def recall_by_loop(objects, found, limit, threshold):
    """Each proposal, best first, matches the free object of highest IoU above the threshold."""
    hits = total = 0
    for image, rows in found.items():
        free = [box for key, box in objects if key == image]
        total += len(free)
        for box, _ in sorted(rows, key=lambda row: -row[1])[:limit]:
            best = max(free, key=lambda other: overlap(box, other), default=None)
            if best is not None and overlap(box, best) >= threshold:
                free.remove(best)
                hits += 1
    return hits / total


def test_against_a_loop(path):
    content, detections = random_task(images=6)
    content['annotations'] = [a for a in content['annotations'] if not a['iscrowd']]
    found = {image: [row[1:] for row in rows] for image, rows in detections.items()}
    predicted = [proposals(image, rows) for image, rows in found.items()]
    numbers = judge(path, content, predicted, proposal_nums=(3, 10))
    thresholds = np.linspace(0.5, 0.95, 10)
    for split, names in (('novel', NOVEL), ('base', BASE), ('all', CLASSES)):
        wanted = {IDS[name] for name in names}
        objects = [
            (a['image_id'], a['bbox']) for a in content['annotations'] if a['category_id'] in wanted
        ]
        for limit in (3, 10):
            recalls = [recall_by_loop(objects, found, limit, t) for t in thresholds]
            key = f'proposals/{split}_ar{limit}'
            assert numbers[key] == pytest.approx(np.mean(recalls))
            assert numbers[f'{key}_iou50'] == pytest.approx(recalls[0])
    assert 0 < numbers['proposals/novel_ar3'] < numbers['proposals/novel_ar10'] < 1
    assert numbers['proposals/novel_ar10'] != numbers['proposals/base_ar10']


def test_all_equals_mmdet(path):
    """mmdet's CocoMetric has no splits; it calls the third limit AR@1000 in any case."""
    content, found = random_task(images=6)
    predicted = [sample(image, rows, masks=False) for image, rows in found.items()]
    numbers = judge(path, content, predicted)
    metric = CocoMetric(
        str(path), metric='proposal', metric_items=['AR@1000'], proposal_nums=(1, 10, 100)
    )
    metric.dataset_meta = dict(classes=CLASSES)
    metric.process({}, [element.to_dict() for element in predicted])
    (theirs,) = metric.evaluate(len(predicted)).values()
    assert numbers['proposals/all_ar100'] == pytest.approx(theirs, abs=1e-3)  # they round


def test_without_a_split(path):
    truth = content_of([1], [annotation(1, 'ant', [0, 0, 20, 20])])
    predicted = [proposals(1, [([0, 0, 20, 20], 0.9)])]
    numbers = judge(path, truth, predicted, meta=dict(classes=CLASSES), proposal_nums=[7])
    assert numbers == {'proposals/all_ar7': 1, 'proposals/all_ar7_iou50': 1}


def test_only_the_best_are_gathered(path):
    path.write_text(json.dumps(content_of([1], [annotation(1, 'ant', [10, 10, 40, 40])])))
    metric = METRICS.build(dict(type='OpenVocabProposalRecall', ann_file=str(path)))
    metric.dataset_meta = META
    boxes, scores = torch.arange(1200.0).reshape(300, 4), torch.linspace(0, 1, 300)
    metric.process({}, [dict(img_id=1, pred_instances=dict(bboxes=boxes, scores=scores))])
    ((_, kept),) = metric.results
    assert kept['bboxes'].tolist() == boxes.flip(0)[:100].tolist()


@pytest.mark.parametrize(
    ('predicted', 'text'),
    [
        ([], 'OpenVocabProposalRecall'),
        ([proposals(9, [])], r'truth\.json.*\b9\b'),
        ([proposals(1, []), proposals(1, [])], r'image 1\b'),
    ],
)
def test_invalid_predictions_raise(path, predicted, text):
    path.write_text(json.dumps(content_of([1], [annotation(1, 'ant', [10, 10, 40, 40])])))
    metric = METRICS.build(dict(type='OpenVocabProposalRecall', ann_file=str(path)))
    metric.dataset_meta = META

    def judge():
        metric.process({}, [element.to_dict() for element in predicted])
        metric.compute_metrics(metric.results)

    with pytest.raises(ValueError, match=text):
        judge()


def test_ids_may_be_text():
    objects = [dict(image_id='a', bbox=[0, 0, 10, 10])]
    found = dict(a=(np.array([[0, 0, 10, 10.0]]), np.array([0.5])))
    numbers = proposal_recall(dict(every=objects), found, [1])
    assert numbers == dict(every=dict(ar1=1, ar1_iou50=1))
