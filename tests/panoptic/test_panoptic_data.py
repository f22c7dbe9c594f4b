"""Panoptic data and metrics whose labels follow the vocabulary, worked by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS, METRICS
from PIL import Image

pytest.importorskip('panopticapi')

import clipself_mm.panoptic
from tests.forks import Fork

WORDS = dict(things=['cat', 'dog'], stuff=['sky', 'sea'])
CATEGORIES = [  # another order than the vocabulary's, and ids that say nothing
    dict(id=7, name='sea', isthing=0),
    dict(id=3, name='dog', isthing=1),
    dict(id=9, name='sky', isthing=0),
    dict(id=5, name='cat', isthing=1),
]
SEGMENTS = {11: 5, 12: 3, 300: 9}  # id to category: a cat, a dog, sky
IDS = np.zeros((4, 8), np.int64)
IDS[:2, :4], IDS[:2, 4:], IDS[2:, :] = 11, 12, 300
IDS[3, 7] = 0  # void


@pytest.fixture
def folder(tmp_path):
    """A json with one image, its id image under a name of its own, and instances of the things."""

    def box(key):
        rows, columns = np.nonzero(key == IDS)
        return [
            int(columns.min()),
            int(rows.min()),
            int(np.ptp(columns)) + 1,
            int(np.ptp(rows)) + 1,
        ]

    parts = [
        dict(id=key, category_id=kind, bbox=box(key), area=int((key == IDS).sum()), iscrowd=0)
        for key, kind in SEGMENTS.items()
    ]
    image = dict(id=1, file_name='a.jpg', height=4, width=8)
    content = dict(
        images=[image, dict(image, id=2, file_name='b.jpg')],
        annotations=[dict(image_id=1, file_name='a.png', segments_info=parts)],
        categories=CATEGORIES,
    )
    (tmp_path / 'panoptic.json').write_text(json.dumps(content))
    rings = {11: [0, 0, 4, 0, 4, 2, 0, 2], 12: [4, 0, 8, 0, 8, 2, 4, 2]}
    things = [
        dict(parts[place], id=place + 1, image_id=1, segmentation=[rings[key]], category_id=kind)
        for place, (key, kind) in enumerate([(11, 5), (12, 3)])
    ]
    instances = dict(
        images=[image],
        annotations=things,
        categories=[entry for entry in CATEGORIES if entry['isthing']],
    )
    (tmp_path / 'instances.json').write_text(json.dumps(instances))
    (tmp_path / 'ids').mkdir()
    rgb = np.stack([IDS % 256, IDS // 256, 0 * IDS], axis=-1).astype(np.uint8)
    Image.fromarray(rgb).save(tmp_path / 'ids/a.png')
    Image.new('RGB', (8, 4)).save(tmp_path / 'a.jpg')
    return tmp_path


def dataset(folder, **kwargs):
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='mmdet.LoadPanopticAnnotations'),
        dict(type='mmdet.PackDetInputs'),
    ]
    settings = dict(vocabulary=WORDS, pipeline=pipeline) | kwargs
    return DATASETS.build(
        dict(
            type='OpenVocabPanopticDataset',
            ann_file=str(folder / 'panoptic.json'),
            data_prefix=dict(img=str(folder), seg=str(folder / 'ids')),
            **settings,
        )
    )


def test_labels_are_those_of_the_vocabulary(folder):
    data = dataset(folder)
    assert data.metainfo['classes'] == ('cat', 'dog', 'sky', 'sea')
    assert data.metainfo['thing_classes'] == ('cat', 'dog')
    assert data.metainfo['stuff_classes'] == ('sky', 'sea')
    assert len(data) == 1  # the other image has no annotation
    sample = data[0]['data_samples']
    assert sample.gt_instances.labels.tolist() == [0, 1]
    expected = np.where(IDS == 11, 0, np.where(IDS == 12, 1, np.where(IDS == 300, 2, 255)))
    assert sample.gt_sem_seg.sem_seg[0].tolist() == expected.tolist()
    assert sample.gt_instances.masks.masks[1].tolist() == (IDS == 12).tolist()


def test_unknown_categories_are_void_or_raise(folder):
    words = dict(things=['cat'], stuff=['sky', 'sea'])
    sample = dataset(folder, vocabulary=words, ignore_unknown=True)[0]['data_samples']
    assert sample.gt_instances.labels.tolist() == [0]
    expected = np.where(IDS == 11, 0, np.where(IDS == 300, 1, 255))
    assert sample.gt_sem_seg.sem_seg[0].tolist() == expected.tolist()
    with pytest.raises(ValueError, match=r"panoptic\.json.*\b1\b.*\b4\b.*'dog'"):
        dataset(folder, vocabulary=words)[0]
    words = dict(things=['cat'], stuff=['dog', 'sky', 'sea'])
    with pytest.raises(ValueError, match=r"panoptic\.json.*'dog'.*isthing 1"):
        dataset(folder, vocabulary=words)[0]


def test_broken_entry_raises(folder):
    path = folder / 'panoptic.json'
    content = json.loads(path.read_text())
    del content['annotations'][0]['file_name']
    path.write_text(json.dumps(content))
    with pytest.raises(
        ValueError, match=r"panoptic\.json.*'segments_info'.*'file_name'.*'image_id'"
    ):
        dataset(folder)[0]


def measure(folder, predicted, meta, **kwargs):
    """PQ of one predicted map."""
    metric = METRICS.build(
        dict(
            type='OpenVocabPanopticMetric',
            ann_file=str(folder / 'panoptic.json'),
            seg_prefix=str(folder / 'ids'),
            **kwargs,
        )
    )
    metric.dataset_meta = meta
    seg = torch.as_tensor(predicted, dtype=torch.int32)[None]
    sample = dict(img_id=1, img_path='a.jpg', ori_shape=(4, 8), pred_panoptic_seg=dict(sem_seg=seg))
    metric.process({}, [sample])
    return metric.evaluate(1)


def test_quality_by_hand(folder):
    meta = dataset(folder).metainfo
    predicted = np.full((4, 8), 2)  # sky everywhere,
    predicted[:2, :3] = 1000 + 0  # three quarters of the cat,
    predicted[:2, 4:] = 2000 + 0  # and a second cat where the dog is
    numbers = measure(folder, predicted, meta, seen=dict(things=['cat'], stuff=['sky']))
    # Cat: one found (IoU 3/4), one too many: 0.75 / 1.5. Dog: missed. Sky: 15 of 15 + 2 pixels,
    # void not counted.
    cat, sky = 0.75 / 1.5, 15 / 17
    wanted = {
        'PQ': (cat + 0 + sky) / 3,
        'PQ_th': cat / 2,
        'PQ_st': sky,
        'PQ_seen': (cat + sky) / 2,
        'PQ_seen_th': cat,
        'PQ_seen_st': sky,
        'PQ_unseen': 0,
        'PQ_unseen_th': 0,
    }
    found = {key: numbers[f'coco_panoptic/{key}'] for key in wanted}
    assert found == pytest.approx({key: 100 * value for key, value in wanted.items()})
    assert 'coco_panoptic/PQ_unseen_st' not in numbers  # the sea occurs nowhere
    assert 'coco_panoptic/PQ_seen' not in measure(folder, predicted, meta)


def test_perfect_prediction_scores_100_in_any_class_order(folder):
    right = np.where(IDS == 11, 1000, np.where(IDS == 12, 2001, 2))
    assert measure(folder, right, dataset(folder).metainfo)['coco_panoptic/PQ'] == 100
    meta = dataset(folder, vocabulary=dict(things=['dog', 'cat'], stuff=['sea', 'sky'])).metainfo
    assert measure(folder, right, meta)['coco_panoptic/PQ'] == 0
    right = np.where(IDS == 11, 1001, np.where(IDS == 12, 2000, 3))
    assert measure(folder, right, meta)['coco_panoptic/PQ'] == 100


@pytest.mark.parametrize(
    ('meta', 'message'),
    [
        (dict(classes=('cat', 'dog')), r"OpenVocabPanopticMetric.*\['thing_classes'\]"),
        (dict(classes=('cat', 'sky', 'sea'), thing_classes=('cat',)), "'dog'"),
        (
            dict(classes=('cat', 'dog', 'sky', 'sea', 'hay'), thing_classes=('cat', 'dog')),
            r"panoptic\.json.*\['hay'\]",
        ),
    ],
)
def test_class_mismatch_raises(folder, meta, message):
    with pytest.raises(ValueError, match=message):
        measure(folder, IDS, meta)


def test_seen_and_outfile_prefix_raise(folder):
    with pytest.raises(ValueError, match=r'seen.*outfile_prefix'):
        measure(folder, IDS, {}, seen=WORDS, outfile_prefix=str(folder / 'out'))


def test_thing_masks_are_matched_by_name(folder):
    metric = METRICS.build(
        dict(
            type='ThingMaskMetric',
            ann_file=str(folder / 'instances.json'),
            seen=dict(things=['dog']),
        )
    )
    metric.dataset_meta = dataset(folder).metainfo
    found = dict(
        bboxes=torch.zeros(2, 4),
        scores=torch.tensor([0.9, 0.8]),
        labels=torch.tensor([0, 0]),  # two cats, the second where the dog is
        masks=torch.as_tensor(np.stack([IDS == 11, IDS == 12])),
    )
    metric.process({}, [dict(img_id=1, ori_shape=(4, 8), pred_instances=found)])
    numbers = metric.evaluate(1)
    assert numbers['coco/segm_novel_ap'] == pytest.approx(1)  # the cat, unseen
    assert numbers['coco/segm_base_ap'] == 0
    assert numbers['coco/segm_all_ap'] == pytest.approx(0.5)
    with pytest.raises(ValueError, match=r'ThingMaskMetric.*thing_classes'):
        metric.dataset_meta = dict(classes=('cat',))


@pytest.mark.slow
def test_importing_the_package_does_not_import_panopticapi(tmp_path):
    # mmdet itself imports it where it is there; of ours, this folder alone may.
    text = ''.join(
        path.read_text()
        for path in Path(clipself_mm.__file__).parent.rglob('*.py')
        if 'panoptic' not in path.parent.name
    )
    assert 'import panopticapi' not in text
    assert 'from panopticapi' not in text
    lazy = "import sys, clipself_mm; sys.exit('clipself_mm.panoptic' in sys.modules)"
    (tmp_path / 'imports.py').write_text(lazy)
    assert Fork(['imports.py'], tmp_path).wait().returncode == 0
