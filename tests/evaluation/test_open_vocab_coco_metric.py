"""Novel, base and all AP against pycocotools and by hand; errors."""

import json
import sys
from pathlib import Path

import pytest
from mmdet.registry import METRICS as MMDET_METRICS
from mmengine.logging import MMLogger

from clipself_mm.evaluation import OpenVocabCocoMetric
from tests.commands import call
from tests.evaluation import toy_detection, two_process_detection
from tests.evaluation.toy_detection import (
    BASE,
    CLASSES,
    IDS,
    ITEMS,
    META,
    NOVEL,
    annotation,
    coco_judge,
    content_of,
    perfect,
    random_task,
    sample,
    samples,
)


def evaluate(path, content, predicted, **config):
    config = dict(dict(type='OpenVocabCocoMetric'), **config)
    return toy_detection.evaluate(path, content, predicted, **config)


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'truth.json'


PETS = content_of(
    [1, 2],
    [
        annotation(1, 'ant', [10, 10, 40, 40]),
        annotation(1, 'bee', [100, 100, 50, 50]),
        annotation(2, 'cow', [20, 20, 150, 150]),
        annotation(2, 'dog', [150, 150, 20, 20]),
        annotation(2, 'gnu', [200, 200, 20, 20]),
    ],
)


def test_each_split_equals_pycocotools(path):
    content, found = random_task()
    metrics = evaluate(path, content, samples(found), metric=['bbox', 'segm'])
    expected = {}
    for kind, marker in (('bbox', ''), ('segm', 'segm_')):
        for split, names in (('novel', NOVEL), ('base', BASE), ('all', CLASSES)):
            stats = coco_judge(content, found, kind, names).stats
            expected |= {
                f'coco/{marker}{split}_{item}': v for item, v in zip(ITEMS, stats, strict=True)
            }
    assert metrics == pytest.approx(expected, abs=1e-12)
    assert 0 < metrics['coco/novel_ap50'] < 1
    assert metrics['coco/novel_ap50'] != metrics['coco/base_ap50']
    assert metrics['coco/novel_ap_s'] != metrics['coco/segm_novel_ap_s']


def test_precision_by_hand(path):
    # Right, wrong, right for two ants: precision 1 up to recall 0.5, 2/3 up to recall 1.
    truth = [annotation(1, 'ant', [0, 0, 20, 20]), annotation(1, 'ant', [50, 50, 20, 20])]
    found = [
        ('ant', [0, 0, 20, 20], 0.9),
        ('ant', [200, 200, 20, 20], 0.8),
        ('ant', [50, 50, 20, 20], 0.7),
    ]
    metrics = evaluate(path, content_of([1], truth), [sample(1, found, masks=False)])
    assert metrics['coco/base_ap50'] == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert metrics['coco/all_ap50'] == metrics['coco/base_ap50']
    assert metrics['coco/base_ap_s'] == pytest.approx(metrics['coco/base_ap50'])
    assert metrics['coco/base_ar1'] == 0.5
    assert metrics['coco/base_ar10'] == 1
    assert metrics['coco/novel_ap50'] == metrics['coco/base_ap_l'] == -1


def test_detections_of_a_class_count_up_to_the_highest_limit(path):
    truth = content_of([1], [annotation(1, 'ant', [0, 0, 20, 20])])
    found = [('ant', [200, 200, 20, 20], 0.9)] * 2 + [('ant', [0, 0, 20, 20], 0.8)]
    predicted = [sample(1, found, masks=False)]
    assert evaluate(path, truth, predicted)['coco/all_ap50'] == pytest.approx(1 / 3)
    metrics = evaluate(path, truth, predicted, proposal_nums=(1, 2))
    assert metrics['coco/all_ap50'] == metrics['coco/all_ar2'] == 0
    assert evaluate(path, truth, predicted, proposal_nums=[3])['coco/all_ar3'] == 1


def test_more_than_100_detections_of_an_image(path):
    """The 101st detection, the only right one, counts for AP50 and AP75 and not for AP."""
    truth = content_of([1], [annotation(1, 'ant', [0, 0, 20, 20])])
    wrong = [('ant', [200, 200, 20, 20], 0.9)] * 100
    found = {1: [*wrong, ('ant', [0, 0, 20, 20], 0.1)]}
    predicted = samples(found, masks=False)
    limits = (100, 300, 1000)  # mmdet's
    metrics = evaluate(path, truth, predicted, proposal_nums=limits)
    assert metrics['coco/all_ap'] == metrics['coco/all_ar100'] == 0
    assert metrics['coco/all_ap50'] == metrics['coco/all_ap75'] == pytest.approx(1 / 101)
    assert metrics['coco/all_ap_s'] == pytest.approx(1 / 101)
    assert metrics['coco/all_ar300'] == metrics['coco/all_ar1000'] == 1
    theirs = coco_judge(truth, found, 'bbox', ('ant',), max_dets=limits).stats
    assert [metrics[f'coco/all_{name}'] for name in ITEMS[:6]] == pytest.approx(list(theirs[:6]))
    usual = evaluate(path, truth, predicted)
    assert usual['coco/all_ap'] == usual['coco/all_ap50'] == usual['coco/all_ar100'] == 0


def test_category_order_does_not_matter(path):
    content, found = random_task(images=3)
    metrics = evaluate(path, content, samples(found))
    content['categories'] = content['categories'][::-1]
    assert evaluate(path, content, samples(found)) == metrics
    content['categories'] = sorted(content['categories'], key=lambda entry: entry['id'])
    assert evaluate(path, content, samples(found)) == metrics


def test_label_order_is_that_of_the_metainfo(path):
    content, found = random_task(images=3)
    metrics = evaluate(path, content, samples(found))
    classes = CLASSES[::-1]
    turned = samples(found, classes=classes)
    answer = evaluate(path, content, turned, meta=dict(META, classes=classes))
    assert answer == pytest.approx(metrics, abs=1e-12)  # the sums run in another order


def test_perfect_detections(path):
    metrics = evaluate(path, PETS, samples(perfect_without_gnu()), metric=['bbox', 'segm'])
    for split in ('novel', 'base', 'all'):
        for item in ('ap', 'ap50', 'ap75', 'ar100'):
            assert metrics[f'coco/{split}_{item}'] == pytest.approx(1)
            assert metrics[f'coco/segm_{split}_{item}'] == pytest.approx(1)
    assert metrics['coco/base_ap_l'] == pytest.approx(1)  # the cow
    assert metrics['coco/novel_ap_l'] == -1


def perfect_without_gnu():
    kept = [entry for entry in PETS['annotations'] if entry['category_id'] in IDS.values()]
    return perfect(dict(PETS, annotations=kept))


def test_swapped_novel_labels(path):
    swap = dict(bee='dog', dog='bee')
    found = {
        image: [(swap.get(name, name), box, score) for name, box, score in detections]
        for image, detections in perfect_without_gnu().items()
    }
    metrics = evaluate(path, PETS, samples(found))
    assert metrics['coco/novel_ap50'] == 0
    assert metrics['coco/base_ap50'] == pytest.approx(1)
    assert metrics['coco/all_ap50'] == pytest.approx(0.5)


def test_boxes_and_masks_keep_their_own_keys(path):
    predicted = samples(perfect_without_gnu())
    for element in predicted:
        element.pred_instances.masks[:] = False
        element.pred_instances.masks[:, :5, :5] = True
    metrics = evaluate(path, PETS, predicted, metric=['segm', 'bbox'])
    assert metrics['coco/novel_ap50'] == pytest.approx(1)
    assert metrics['coco/segm_novel_ap50'] == 0


def test_without_split_there_is_only_all(path):
    predicted = samples(perfect_without_gnu())
    for meta in (dict(classes=CLASSES), dict(classes=CLASSES, base_classes=(), novel_classes=())):
        metrics = evaluate(path, PETS, predicted, meta=meta)
        assert list(metrics) == [f'coco/all_{item}' for item in ITEMS]
        assert metrics['coco/all_ap'] == pytest.approx(1)


def test_no_detection_is_zero(path):
    metrics = evaluate(path, PETS, samples({1: [], 2: []}), metric=['bbox', 'segm'])
    assert metrics['coco/novel_ap50'] == metrics['coco/segm_all_ap'] == 0
    assert metrics['coco/novel_ap_l'] == -1


def test_only_predicted_images_count(path):
    found = perfect_without_gnu()
    del found[2]
    metrics = evaluate(path, PETS, samples(found))
    assert metrics['coco/all_ap50'] == pytest.approx(1)  # cow and dog of image 2 are not missed
    found[2] = []
    assert evaluate(path, PETS, samples(found))['coco/all_ap50'] == pytest.approx(0.5)


@pytest.mark.parametrize('ids', [[0, 1, 2, 3, 4], [8, 8, 8, 8, 8]])
def test_annotation_ids_may_be_anything(path, ids):
    numbered = [dict(entry, id=n) for entry, n in zip(PETS['annotations'], ids, strict=True)]
    metrics = evaluate(path, dict(PETS, annotations=numbered), samples(perfect_without_gnu()))
    assert metrics['coco/all_ap'] == pytest.approx(1)


def test_classwise_table_goes_by_split(path, monkeypatch):
    lines = []
    logger = MMLogger.get_instance('classwise')
    monkeypatch.setattr(logger, 'handle', lambda record: lines.append(record.getMessage()))
    swapped = samples({1: [('bee', [100, 100, 50, 50], 0.9)], 2: []})
    evaluate(path, PETS, swapped)
    rows = [' '.join(line.split()) for line in lines[-1].strip().splitlines()]
    assert rows[0] == 'bbox of 2 images, in % ap ap50 ap75 ap_s ap_m ap_l'
    assert rows[2:] == [
        'novel 50.0 50.0 50.0 0.0 100.0 -',
        'base 0.0 0.0 0.0 0.0 - 0.0',
        'all 25.0 25.0 25.0 0.0 100.0 0.0',
    ]
    evaluate(path, PETS, swapped, classwise=True)
    novel, base = ([line.split() for line in text.strip().splitlines()] for text in lines[-2:])
    assert novel[0][:3] == ['bbox,', 'novel', 'classes,']
    assert [row[:2] for row in novel[2:]] == [['bee', '100.0'], ['dog', '0.0']]
    assert [row[:2] for row in base[2:]] == [
        ['ant', '0.0'],
        ['cow', '0.0'],
        ['eel', '-'],
        ['fox', '-'],
    ]


def test_format_only_writes_category_ids(path, tmp_path):
    found = {1: [('bee', [100, 100, 50, 50], 0.75)], 2: []}
    out = tmp_path / 'out' / 'mine'
    answer = evaluate(path, PETS, samples(found), format_only=True, outfile_prefix=str(out))
    assert answer == {}
    assert json.loads((tmp_path / 'out' / 'mine.bbox.json').read_text()) == [
        dict(image_id=1, bbox=[100, 100, 50, 50], score=0.75, category_id=IDS['bee'])
    ]
    (entry,) = json.loads((tmp_path / 'out' / 'mine.segm.json').read_text())
    assert entry['category_id'] == IDS['bee']


def test_takes_an_lvis_style_json(path):
    bare = [
        {key: value for key, value in entry.items() if key != 'iscrowd'}
        for entry in PETS['annotations']
    ]
    metrics = evaluate(path, dict(PETS, annotations=bare), samples(perfect_without_gnu()))
    assert metrics['coco/all_ap'] == pytest.approx(1)


@pytest.mark.slow
def test_two_processes_give_the_digits_of_one(tmp_path):
    out = tmp_path / 'metrics.json'
    child = Path(two_process_detection.__file__)
    call([sys.executable, child, out], tmp_path)
    alone = two_process_detection.judge_share(tmp_path / 'truth.json')
    assert 0 < alone['coco/novel_ap'] < 1
    assert json.loads(out.read_text()) == alone


def test_the_name_is_free_in_mmdet():
    assert 'OpenVocabCocoMetric' not in MMDET_METRICS.module_dict


def test_missing_and_broken_files_raise(tmp_path):
    missing = str(tmp_path / 'none.json')
    with pytest.raises(FileNotFoundError, match=r'none\.json'):
        OpenVocabCocoMetric(missing)
    bare = tmp_path / 'images.json'
    bare.write_text(json.dumps(dict(images=[], categories=[])))
    with pytest.raises(ValueError, match=r"images\.json.*'annotations'"):
        OpenVocabCocoMetric(str(bare))
    poor = tmp_path / 'poor.json'
    entry = {k: v for k, v in PETS['annotations'][0].items() if k != 'segmentation'}
    poor.write_text(json.dumps(dict(PETS, annotations=[entry])))
    OpenVocabCocoMetric(str(poor)).dataset_meta = META
    metric = OpenVocabCocoMetric(str(poor), metric='segm')
    with pytest.raises(ValueError, match=r'poor\.json.*1 of 1 .*annotation 1 is None'):
        metric.dataset_meta = META


@pytest.mark.parametrize('name', ['bee', 'ant'])
def test_a_json_without_a_class_raises_before_the_first_image(path, name):
    left = [entry for entry in PETS['categories'] if entry['name'] != name]
    known = {entry['id'] for entry in left}
    kept = [entry for entry in PETS['annotations'] if entry['category_id'] in known]
    poor = dict(PETS, categories=left, annotations=kept)
    with pytest.raises(ValueError, match=rf"truth\.json.*\b1\b.*\b6\b.*'{name}'"):
        toy_detection.evaluator(path, poor, type='OpenVocabCocoMetric')


def test_invalid_metainfo_raises(path):
    for meta, text in (
        (dict(palette=[]), r"OpenVocabCocoMetric.*\['palette'\]"),
        (dict(META, novel_classes=('yak',)), r"novel_classes.*\['yak'\].*\b6\b"),
    ):
        with pytest.raises(ValueError, match=text):
            toy_detection.evaluator(path, PETS, meta=meta, type='OpenVocabCocoMetric')


@pytest.mark.parametrize(
    ('config', 'text'),
    [
        (dict(metric='proposal'), "'bbox', 'segm'.*'proposal'"),
        (dict(metric=[]), r"'bbox', 'segm'.*\[\]"),
        (dict(proposal_nums=(100, 10)), r'proposal_nums.*\[100, 10\]'),
    ],
)
def test_invalid_arguments_raise(path, config, text):
    with pytest.raises(ValueError, match=text):
        toy_detection.evaluator(path, PETS, type='OpenVocabCocoMetric', **config)


def test_invalid_predictions_raise(path):
    bee = [('bee', [100, 100, 50, 50], 0.9)]
    with pytest.raises(ValueError, match=r'truth\.json.*\b9\b'):
        evaluate(path, PETS, [sample(9, bee)])
    with pytest.raises(ValueError, match=r'image 1\b'):
        evaluate(path, PETS, [sample(1, bee), sample(1, bee)])
    with pytest.raises(ValueError, match=r'segm.*mask'):
        evaluate(path, PETS, [sample(1, bee, masks=False)], metric='segm')
    with pytest.raises(ValueError, match='OpenVocabCocoMetric'):
        evaluate(path, PETS, [])
    wrong = sample(1, bee)
    for label in (6, -1):
        wrong.pred_instances.labels[:] = label
        with pytest.raises(ValueError, match=rf'image 1\b.*{label}\b.*\b6\b'):
            evaluate(path, PETS, [wrong])
