"""LVIS AP: federated rules by hand, and pycocotools on the images evaluated per class."""

import sys

import numpy as np
import pytest

from clipself_mm.evaluation.metrics import open_vocab_lvis_metric
from clipself_mm.evaluation.metrics.open_vocab_lvis_metric import top_detections
from tests.evaluation import toy_detection
from tests.evaluation.toy_detection import (
    CLASSES,
    IDS,
    annotation,
    categories,
    coco_judge,
    content_of,
    random_task,
    sample,
    samples,
)

FREQUENCY = dict(ant='f', bee='r', cow='c', dog='r', eel='c', fox='f', gnu='c')


def federated(content, negative=None, loose=None):
    """The content as LVIS has it: frequencies, and by image id class names not there or not all."""
    images = [
        dict(
            image,
            neg_category_ids=[IDS[name] for name in (negative or {}).get(image['id'], [])],
            not_exhaustive_category_ids=[IDS[name] for name in (loose or {}).get(image['id'], [])],
        )
        for image in content['images']
    ]
    bare = [
        {key: value for key, value in entry.items() if key != 'iscrowd'}
        for entry in content['annotations']
        if not entry['iscrowd']
    ]
    known = [dict(entry, frequency=FREQUENCY[entry['name']]) for entry in content['categories']]
    return dict(content, images=images, annotations=bare, categories=known)


def evaluate(path, content, predicted, **config):
    config = dict(dict(type='OpenVocabLVISMetric', metric='bbox'), **config)
    return toy_detection.evaluate(path, content, predicted, **config)


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'lvis.json'


HOME, AWAY = [10, 10, 40, 40], [200, 200, 40, 40]
TWO_IMAGES = content_of([1, 2], [annotation(1, 'ant', HOME), annotation(2, 'bee', HOME)])


def bee_in_both(score_away=0.9):
    """The bee of image 2 is found; before it comes a bee in image 1, where none is annotated."""
    return samples({1: [('bee', AWAY, score_away)], 2: [('bee', HOME, 0.8)]})


def test_a_class_that_is_not_verified_is_not_evaluated(path):
    metrics = evaluate(path, federated(TWO_IMAGES), bee_in_both())
    assert metrics['lvis/bbox_apr'] == pytest.approx(1)
    assert metrics['lvis/bbox_apf'] == 0  # the ant is missed
    assert metrics['lvis/bbox_apc'] == -1  # no cow, no eel
    assert metrics['lvis/bbox_ap'] == pytest.approx(0.5)


def test_masks_in_an_image_where_no_class_is_evaluated(path):
    content = content_of([1, 2], TWO_IMAGES['annotations'][1:])
    metrics = evaluate(path, federated(content), bee_in_both(), metric='segm')
    assert metrics['lvis/segm_apr'] == pytest.approx(1)


def test_a_class_verified_as_absent_is_evaluated(path):
    metrics = evaluate(path, federated(TWO_IMAGES, negative={1: ['bee']}), bee_in_both())
    assert metrics['lvis/bbox_apr'] == pytest.approx(0.5)
    metrics = evaluate(path, federated(TWO_IMAGES, negative={1: ['bee']}), bee_in_both(0.7))
    assert metrics['lvis/bbox_apr'] == pytest.approx(1)  # wrong, but after full recall


def test_extra_detections_of_a_class_not_exhaustively_annotated(path):
    predicted = samples({1: [], 2: [('bee', AWAY, 0.9), ('bee', HOME, 0.8)]})
    strict = evaluate(path, federated(TWO_IMAGES), predicted)
    assert strict['lvis/bbox_apr'] == pytest.approx(0.5)
    loose = evaluate(path, federated(TWO_IMAGES, loose={2: ['bee']}), predicted)
    assert loose['lvis/bbox_apr'] == pytest.approx(1)
    other = evaluate(path, federated(TWO_IMAGES, loose={2: ['ant'], 1: ['bee']}), predicted)
    assert other['lvis/bbox_apr'] == pytest.approx(0.5)
    missed = evaluate(
        path, federated(TWO_IMAGES, loose={2: ['bee']}), samples({1: [], 2: [('bee', AWAY, 0.9)]})
    )
    assert missed['lvis/bbox_apr'] == 0  # annotated objects still count


def test_the_limit_is_over_all_classes_of_an_image(path):
    predicted = samples({1: [], 2: [('fox', AWAY, 0.9), ('ant', AWAY, 0.8), ('bee', HOME, 0.7)]})
    content = federated(TWO_IMAGES)
    assert evaluate(path, content, predicted, max_dets=3)['lvis/bbox_apr'] == pytest.approx(1)
    limited = evaluate(path, content, predicted, max_dets=2)
    assert limited['lvis/bbox_apr'] == 0
    assert 'lvis/bbox_ar2' in limited


def test_300_detections_count(path):
    before = [('fox', AWAY, 0.9)] * 299
    truth = federated(TWO_IMAGES)
    kept = samples({1: [], 2: [*before, ('bee', HOME, 0.5)]}, masks=False)
    cut = samples({1: [], 2: [*before, ('fox', AWAY, 0.9), ('bee', HOME, 0.5)]}, masks=False)
    assert evaluate(path, truth, kept)['lvis/bbox_apr'] == pytest.approx(1)
    assert evaluate(path, truth, cut)['lvis/bbox_apr'] == 0


def test_top_detections():
    scores = [(1, 0.2), (2, 0.1), (1, 0.9), (1, 0.2), (2, 0.3)]
    entries = [dict(image_id=image, score=score, n=n) for n, (image, score) in enumerate(scores)]
    assert [entry['n'] for entry in top_detections(entries, 2)] == [2, 0, 4, 1]
    assert top_detections([], 2) == []


def federated_reference(content, found, kind, negative):
    """AP (T, R) per annotated class by pycocotools, on the images evaluated for it."""
    precision = {}
    for name in CLASSES:
        judged = {e['image_id'] for e in content['annotations'] if e['category_id'] == IDS[name]}
        judged |= {image for image, names in negative.items() if name in names}
        plain = dict(
            content, annotations=[dict(entry, iscrowd=0) for entry in content['annotations']]
        )
        judge = coco_judge(plain, found, kind, [name], images=judged or [1])
        precision[name] = judge.eval['precision'][:, :, 0, :, -1]
    return precision


@pytest.mark.parametrize('kind', ['bbox', 'segm'])
def test_equals_pycocotools_on_the_evaluated_images(path, kind, monkeypatch):
    content, found = random_task()
    random = np.random.default_rng(1)
    negative = {}
    for image in found:
        there = {e['category_id'] for e in content['annotations'] if e['image_id'] == image}
        absent = [name for name in CLASSES if IDS[name] not in there]
        negative[image] = [name for name in absent if random.random() < 0.5]
    content = federated(content, negative)
    metrics = evaluate(path, content, samples(found), metric=kind)
    precision = federated_reference(content, found, kind, negative)

    def mean(names, iou=slice(None), area=0):
        values = np.array([precision[name][iou, :, area] for name in names])
        return values[values > -1].mean()

    expected = dict(
        ap=mean(CLASSES),
        ap50=mean(CLASSES, 0),
        ap75=mean(CLASSES, 5),
        ap_s=mean(CLASSES, area=1),
        ap_m=mean(CLASSES, area=2),
        ap_l=mean(CLASSES, area=3),
        apr=mean(['bee', 'dog']),
        apc=mean(['cow']),
        apf=mean(['ant', 'fox']),
    )
    got = {item: metrics[f'lvis/{kind}_{item}'] for item in expected}
    assert got == pytest.approx(expected, abs=1e-12)
    assert len(set(expected.values())) == len(expected)

    strict = evaluate(
        path,
        federated(
            content | dict(annotations=[dict(e, iscrowd=0) for e in content['annotations']]),
            {image: CLASSES for image in found},
        ),
        samples(found),
        metric=kind,
    )
    assert strict[f'lvis/{kind}_ap'] < metrics[f'lvis/{kind}_ap']  # the federation matters here

    monkeypatch.setattr(open_vocab_lvis_metric, '_CLASSES_AT_ONCE', 2)
    assert evaluate(path, content, samples(found), metric=kind) == metrics


def test_category_order_does_not_matter(path):
    content, found = random_task(images=3)
    content = federated(content)
    metrics = evaluate(path, content, samples(found), metric=['bbox', 'segm'])
    turned = dict(content, categories=content['categories'][::-1])
    assert evaluate(path, turned, samples(found), metric=['bbox', 'segm']) == metrics
    assert {key.split('_')[0] for key in metrics} == {'lvis/bbox', 'lvis/segm'}
    assert 0 < metrics['lvis/segm_apr'] < 1


def test_no_detection_is_zero(path):
    metrics = evaluate(path, federated(TWO_IMAGES), samples({1: [], 2: []}), metric='segm')
    assert metrics['lvis/segm_ap'] == metrics['lvis/segm_apr'] == 0


def test_only_predicted_images_count(path):
    metrics = evaluate(path, federated(TWO_IMAGES), samples({2: [('bee', HOME, 0.8)]}))
    assert metrics['lvis/bbox_ap'] == pytest.approx(1)


def test_missing_lvis_fields_raise(path):
    content = federated(TWO_IMAGES)
    with pytest.raises(ValueError, match=r"lvis\.json.*'cow'.*None.*'r', 'c'.*'f'"):
        evaluate(path, dict(content, categories=categories()), samples({1: []}))
    for key in ('neg_category_ids', 'not_exhaustive_category_ids'):
        images = [{k: v for k, v in image.items() if k != key} for image in content['images']]
        with pytest.raises(ValueError, match=rf'lvis\.json.*{key}.*\b1\b'):
            evaluate(path, dict(content, images=images), samples({1: []}))
    left = [entry for entry in content['categories'] if entry['name'] != 'bee']
    known = {entry['id'] for entry in left}
    kept = [entry for entry in content['annotations'] if entry['category_id'] in known]
    with pytest.raises(ValueError, match=r"lvis\.json.*\b1\b.*\b6\b.*\['bee'\]"):
        evaluate(path, dict(content, categories=left, annotations=kept), samples({1: []}))


def test_never_uses_the_lvis_package(path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'lvis', None)
    predicted = [sample(2, [('bee', HOME, 0.8)])]
    assert evaluate(path, federated(TWO_IMAGES), predicted)['lvis/bbox_apr'] == pytest.approx(1)
