"""A metric without `ann_file` reads that of the data set."""

import json
from pathlib import Path

import pytest
from mmdet.registry import DATASETS as MMDET_DATASETS
from mmengine.evaluator import Evaluator
from mmengine.registry import DATASETS, METRICS

from tests.evaluation.toy_detection import (
    BASE,
    CLASSES,
    NOVEL,
    annotation,
    categories,
    content_of,
    perfect,
    samples,
)

TRUTH = content_of(
    [1, 2],
    [
        annotation(1, 'ant', [10, 10, 40, 40]),
        annotation(2, 'bee', [100, 100, 50, 50]),
    ],
    categories=[dict(entry, frequency='f') for entry in categories()],
)
for image in TRUTH['images']:
    image.update(neg_category_ids=[], not_exhaustive_category_ids=[])
METRIC_KEYS = {
    'OpenVocabCocoMetric': 'coco/all_ap50',
    'OpenVocabLVISMetric': 'lvis/bbox_ap50',
    'OpenVocabProposalRecall': 'proposals/all_ar100',
    'ProposalJsonWriter': 'proposals/per_image',
}


@pytest.fixture
def dataset(tmp_path):
    words = dict(classes=CLASSES, base=BASE, novel=NOVEL)
    (tmp_path / 'farm.json').write_text(json.dumps(words))
    (tmp_path / 'annotations').mkdir()

    def build(name='val.json', content=TRUTH, kind='OpenVocabCocoDataset', **settings):
        (tmp_path / 'annotations' / name).write_text(json.dumps(content))
        return DATASETS.build(
            dict(
                type=kind,
                vocabulary=str(tmp_path / 'farm.json'),
                data_root=f'{tmp_path}/',
                ann_file=f'annotations/{name}',
                data_prefix=dict(img=''),
                pipeline=[],
                **(dict(test_mode=True) | settings),
            )
        )

    return build


def judged(metric, meta, found, **settings):
    if metric == 'ProposalJsonWriter':
        settings['out_file'] = str(Path(meta.get('folder', '.'), 'out.json'))
    judge = Evaluator([METRICS.build(dict(type=metric, **settings))])
    judge.dataset_meta = meta
    judge.process(samples(found))
    return judge.evaluate(len(found))


@pytest.mark.parametrize('metric', METRIC_KEYS)
def test_the_file_of_the_data_set(metric, dataset, tmp_path):
    meta = dict(dataset().metainfo, folder=tmp_path)
    assert meta['ann_file'] == f'{tmp_path}/annotations/val.json'
    assert judged(metric, meta, perfect(TRUTH))[METRIC_KEYS[metric]] == pytest.approx(1)


@pytest.mark.parametrize('metric', METRIC_KEYS)
def test_the_metrics_ann_file_has_priority(metric, dataset, tmp_path):
    own = content_of([7], [annotation(7, 'ant', [5, 5, 30, 30])], categories=TRUTH['categories'])
    own['images'][0].update(neg_category_ids=[], not_exhaustive_category_ids=[])
    (tmp_path / 'own.json').write_text(json.dumps(own))
    meta = dict(dataset().metainfo, folder=tmp_path)
    numbers = judged(metric, meta, perfect(own), ann_file=str(tmp_path / 'own.json'))
    assert numbers[METRIC_KEYS[metric]] == pytest.approx(1)


@pytest.mark.parametrize('metric', METRIC_KEYS)
def test_no_ann_file_raises(metric, dataset, tmp_path):
    meta = dict(dataset(test_mode=False).metainfo, folder=tmp_path)
    with pytest.raises(ValueError, match=f'{metric}.*ann_file'):
        judged(metric, meta, perfect(TRUTH))


def test_a_metric_reused_for_another_data_set(dataset, tmp_path):
    """The json is read again only if the path differs."""
    metric = METRICS.build(dict(type='OpenVocabCocoMetric'))
    metric.dataset_meta = dataset().metainfo
    first = metric.content
    metric.dataset_meta = dataset().metainfo
    assert metric.content is first
    other = content_of([7], [annotation(7, 'ant', [5, 5, 30, 30])])
    metric.dataset_meta = dataset('other.json', other).metainfo
    metric.process({}, [item.to_dict() for item in samples(perfect(other))])
    assert metric.evaluate(1)['coco/all_ap50'] == pytest.approx(1)


@pytest.mark.parametrize('split', ['training', 'test'])
def test_concatenated_data_sets(split, dataset, tmp_path):
    """Testing on two files needs a json of both for the metric; training does not."""
    halves = [
        dict(
            TRUTH,
            images=[image],
            annotations=[a for a in TRUTH['annotations'] if a['image_id'] == image['id']],
        )
        for image in TRUTH['images']
    ]
    parts = [
        dataset(f'{place}.json', half, test_mode=split == 'test')
        for place, half in enumerate(halves)
    ]
    settings = dict(type='ConcatDataset', datasets=parts)
    if split == 'training':
        assert len(MMDET_DATASETS.build(settings)) == 2
        return
    whole = MMDET_DATASETS.build(dict(settings, ignore_keys=['ann_file']))
    (tmp_path / 'both.json').write_text(json.dumps(TRUTH))
    file = str(tmp_path / 'both.json')
    metric = 'OpenVocabCocoMetric'
    numbers = judged(metric, whole.metainfo, perfect(TRUTH), ann_file=file)
    assert numbers['coco/all_ap50'] == pytest.approx(1)
    with pytest.raises(ValueError, match=r'0\.json.*\b2\b'):
        judged(metric, whole.metainfo, perfect(TRUTH))
