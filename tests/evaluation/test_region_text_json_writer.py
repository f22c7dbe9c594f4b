"""Pairs on disk: the best ones of each image, readable by the baseline's data set."""

import json
import sys
from pathlib import Path

import pytest
import torch
from mmengine.registry import METRICS

from clipself_mm.datasets import RegionTextPairs
from tests.commands import call
from tests.evaluation import two_process_region_text


@pytest.fixture
def ann_file(tmp_path):
    images = [dict(id=i, file_name=f'{i}.jpg', width=100, height=80) for i in (3, 5, 8)]
    path = tmp_path / 'proposals.json'
    path.write_text(json.dumps(dict(images=images, annotations=[])))
    return path


def sample(img_id, boxes_px, labels, scores, scale=0.5):
    return dict(
        img_id=img_id,
        scale=scale,
        regions=dict(boxes_px=torch.tensor(boxes_px).reshape(-1, 4)),
        pred_regions=dict(
            labels=torch.tensor(labels, dtype=torch.int64), scores=torch.tensor(scores)
        ),
    )


def make_writer(ann_file, out, **options):
    return METRICS.build(
        dict(type='RegionTextJsonWriter', ann_file=str(ann_file), out_file=str(out), **options)
    )


def test_best_pairs_above_the_threshold(ann_file, tmp_path):
    out = tmp_path / 'made' / 'pairs.json'
    metric = make_writer(ann_file, out, min_score=0.25, max_per_img=2)
    metric.dataset_meta = dict(classes=('cup', 'dog', 'pen'))
    first = [[0.0, 0.0, 10.0, 20.0], [5.0, 5.0, 25.0, 15.0], [1.0, 2.0, 4.0, 8.0]]
    metric.process({}, [sample(3, first, [2, 0, 1], [0.5, 0.9, 0.4]), sample(5, [], [], [])])
    boxes = [[0.0, 0.0, 50.0, 40.0], [0.0, 0.0, 9.0, 9.0]]
    metric.process({}, [sample(8, boxes, [2, 2], [0.25, 0.1], scale=3)])
    found = metric.evaluate(3)
    assert found == {'region_text/pairs': 3, 'region_text/nouns': 2, 'region_text/per_image': 1}
    content = json.loads(out.read_text())
    assert [image['id'] for image in content['images']] == [3, 5, 8]
    assert content['categories'] == [
        dict(id=1, name='cup'),
        dict(id=2, name='dog'),
        dict(id=3, name='pen'),
    ]
    pairs = [
        (a['id'], a['image_id'], a['category_id'], a['bbox'], a['score'])
        for a in content['annotations']
    ]
    assert pairs == [
        (1, 3, 1, [10, 10, 40, 20], 0.9),
        (2, 3, 3, [0, 0, 20, 40], 0.5),
        (3, 8, 3, [0, 0, 16.67, 13.33], 0.25),
    ]
    assert [a['area'] for a in content['annotations']] == [800, 800, 222.22]
    assert [path.name for path in out.parent.iterdir()] == ['pairs.json']
    data = RegionTextPairs(str(out))
    assert data.metainfo['classes'] == ('cup', 'dog', 'pen')
    infos = [data.get_data_info(index) for index in range(len(data))]
    assert [(info['img_id'], info['labels'].tolist()) for info in infos] == [(3, [0, 2]), (8, [2])]


def test_the_data_sets_file_is_the_default(ann_file, tmp_path):
    metric = METRICS.build(dict(type='RegionTextJsonWriter', out_file=str(tmp_path / 'pairs.json')))
    metric.dataset_meta = dict(classes=('cup',))
    with pytest.raises(ValueError, match=r'RegionTextJsonWriter.*ann_file'):
        metric.process({}, [])
    metric.dataset_meta = dict(classes=('cup',), ann_file=str(ann_file))
    metric.process({}, [sample(3, [[0.0, 0.0, 9.0, 9.0]], [0], [0.5])])
    assert metric.evaluate(1)['region_text/pairs'] == 1


def test_all_pairs_by_default(ann_file, tmp_path):
    metric = make_writer(ann_file, tmp_path / 'pairs.json')
    metric.dataset_meta = dict(classes=('cup',))
    boxes = [[0.0, 0.0, 9.0, 9.0]] * 150
    metric.process({}, [sample(3, boxes, [0] * 150, [-0.2] * 150)])
    assert metric.evaluate(1)['region_text/pairs'] == 150


def test_missing_files_and_nouns(ann_file, tmp_path):
    metric = make_writer(tmp_path / 'nowhere.json', tmp_path / 'pairs.json')
    with pytest.raises(FileNotFoundError, match=r'nowhere\.json'):
        metric.process({}, [])
    metric = make_writer(ann_file, tmp_path / 'pairs.json')
    metric.process({}, [sample(3, [], [], [])])
    with pytest.raises(ValueError, match=r"RegionTextJsonWriter.*metainfo\['classes'\]"):
        metric.evaluate(1)
    assert not (tmp_path / 'pairs.json').exists()


@pytest.mark.slow
def test_two_processes_write_the_file_of_one(tmp_path):
    images = [dict(id=i, file_name=f'{i}.jpg') for i in range(two_process_region_text.IMAGES)]
    (tmp_path / 'images.json').write_text(json.dumps(dict(images=images)))
    child = Path(two_process_region_text.__file__)
    call([sys.executable, child, tmp_path], tmp_path)
    assert two_process_region_text.IMAGES % 2
    one = two_process_region_text.write(tmp_path, 'one.json')
    assert json.loads((tmp_path / 'metrics.json').read_text()) == one
    assert (tmp_path / 'two.json').read_bytes() == (tmp_path / 'one.json').read_bytes()
