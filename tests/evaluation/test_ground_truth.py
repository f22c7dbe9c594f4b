"""Perfect predictions have AP 1, whatever the ids, areas and masks of the file are like."""

import copy
import json

import numpy as np
import pytest
from mmengine.evaluator import Evaluator
from mmengine.registry import METRICS
from pycocotools import mask as rle

from tests.evaluation.toy_detection import (
    META,
    SIZE,
    annotation,
    box_mask,
    content_of,
    perfect,
    sample,
    samples,
)
from tests.logs import logged

FARM = content_of(
    [1, 2],
    [
        annotation(1, 'ant', [10, 10, 40, 40]),
        annotation(1, 'bee', [100, 100, 50, 50]),
        annotation(2, 'bee', [60, 20, 100, 120]),
        annotation(2, 'cow', [5, 200, 30, 60]),
    ],
)
for entry in FARM['categories']:
    entry['frequency'] = 'r' if entry['name'] == 'bee' else 'f'
for image in FARM['images']:
    image.update(neg_category_ids=[], not_exhaustive_category_ids=[])
KINDS = {
    'OpenVocabCocoMetric': ['coco/all_ap', 'coco/novel_ap50', 'coco/segm_all_ap'],
    'OpenVocabLVISMetric': ['lvis/bbox_ap', 'lvis/bbox_apr', 'lvis/segm_ap'],
}


@pytest.fixture
def judge(tmp_path):
    """Evaluates predictions on a changed copy of the farm."""

    def run(
        change, kind='OpenVocabCocoMetric', predicted=None, metric=('bbox', 'segm'), ids=(1, 2)
    ):
        content = copy.deepcopy(FARM)
        change(content)
        path = tmp_path / 'truth.json'
        path.write_text(json.dumps(content))
        evaluator = Evaluator([METRICS.build(dict(type=kind, ann_file=str(path), metric=metric))])
        evaluator.dataset_meta = META
        if predicted is None:
            found = perfect(FARM)
            predicted = [sample(new, found[old]) for old, new in zip((1, 2), ids, strict=True)]
        evaluator.process(predicted)
        return evaluator.evaluate(len(predicted))

    return run


def nothing(content):
    pass


def with_ids(ids, key='images', field='image_id'):
    def change(content):
        new = dict(zip([entry['id'] for entry in content[key]], ids, strict=True))
        for entry in content[key]:
            entry['id'] = new[entry['id']]
        for entry in content['annotations']:
            entry[field] = new[entry[field]]

    return change


@pytest.mark.parametrize('ids', [('cup', 'mug'), (0, -1), (2**53, 2**53 + 1), (2.0, 1.0)])
@pytest.mark.parametrize('kind', KINDS)
def test_any_image_ids(judge, kind, ids):
    numbers = judge(with_ids(ids), kind, ids=ids)
    assert [numbers[key] for key in KINDS[kind]] == pytest.approx([1, 1, 1])


@pytest.mark.parametrize('ids', [list('gfedcba'), [0, -1, 2**33, 4, 5, 6, 7]])
@pytest.mark.parametrize('kind', KINDS)
def test_any_category_ids(judge, kind, ids):
    numbers = judge(with_ids(ids, 'categories', 'category_id'), kind)
    assert [numbers[key] for key in KINDS[kind]] == pytest.approx([1, 1, 1])


@pytest.mark.parametrize('kind', KINDS)
def test_two_categories_of_one_name(judge, kind):
    """One has a box of its own, the other is an empty root."""

    def change(content):
        content['categories'] += [
            dict(id=0, name='bee', frequency='r'),
            dict(id=77, name='bee ', frequency='r'),
        ]
        content['annotations'][1]['category_id'] = 77

    numbers = judge(change, kind)
    assert [numbers[key] for key in KINDS[kind]] == pytest.approx([1, 1, 1])


@pytest.mark.parametrize('kind', KINDS)
def test_boxes_without_an_object_count_for_nothing(judge, kind):
    def change(content):
        for box in ([5, 5, 0, 20], [5, 5, -3, 8], [400, 10, 20, 20], [-40, -40, 10, 10]):
            content['annotations'].append(dict(annotation(1, 'bee', [5, 5, 9, 9]), bbox=box, id=9))
        content['annotations'].append(dict(annotation(1, 'bee', [200, 200, 50, 50]), ignore=1))
        content['annotations'].append(dict(annotation(77, 'bee', [5, 5, 9, 9]), id=9))

    numbers = judge(change, kind)
    assert [numbers[key] for key in KINDS[kind]] == pytest.approx([1, 1, 1])


@pytest.mark.parametrize('area', [0, None, 'text', -1])
def test_sizes_of_objects_without_an_area(judge, area):
    """The ant of 40 x 40 is medium, its mask of 40 x 20 is small."""

    def change(content):
        for entry in content['annotations']:
            entry['area'] = area

    assert judge(change, metric='bbox')['coco/base_ap_m'] == pytest.approx(1)
    numbers = judge(change, metric='segm')
    assert numbers['coco/segm_base_ap_s'] == pytest.approx(1)
    assert numbers['coco/segm_novel_ap_s'] == -1


def test_neg_category_ids_of_other_categories_are_counted(judge):
    def change(content):
        content['images'][0]['neg_category_ids'] = [999, 40]  # 40: the fox, of which one is found
        content['images'][1]['not_exhaustive_category_ids'] = [998]

    found = perfect(FARM)
    found[1].append(('fox', [200, 200, 40, 40], 0.9))
    with logged() as lines:
        numbers = judge(change, 'OpenVocabLVISMetric', samples(found))
    assert numbers['lvis/bbox_ap'] == pytest.approx(1)  # no fox is annotated anywhere
    assert any('truth.json: 2 entries of neg_category_ids' in line for line in lines)


@pytest.mark.parametrize('kind', [*KINDS, 'OpenVocabProposalRecall'])
def test_a_file_without_an_object_is_an_error(tmp_path, kind):
    def crowds(content):
        for entry in content['annotations']:
            entry['iscrowd'] = 1

    for change, why in (
        (lambda content: content.update(annotations=[]), '2 images, 0 boxes'),
        (crowds, '4 crowd'),
    ):
        content = copy.deepcopy(FARM)
        change(content)
        path = tmp_path / 'empty.json'
        path.write_text(json.dumps(content))
        metric = METRICS.build(dict(type=kind, ann_file=str(path)))
        with pytest.raises(ValueError, match=rf'empty\.json: no object of the 6 classes.*{why}'):
            metric.dataset_meta = META


def test_a_split_without_an_object_is_said(judge):
    def change(content):
        content['annotations'] = [
            entry for entry in content['annotations'] if entry['category_id'] != 30
        ]

    with logged() as lines:
        assert judge(change)['coco/novel_ap50'] == -1
    assert any('truth.json: no object of a novel class' in line for line in lines)


def test_predictions_of_other_images_are_an_error(judge):
    right = dict(ori_shape=(320, 320), img_path='data/val\\1.jpg')
    for changed, why in (
        (dict(right), None),
        (dict(right, img_path='data/val/z1.jpg'), r'image 1 is 1\.jpg.* has data/val/z1\.jpg'),
        (dict(right, ori_shape=(160, 160)), 'image 1 is 320 x 320 pixels, .* has 160 x 160'),
        (dict(right, img_id=9), 'has no image 9'),
    ):
        element = sample(1, perfect(FARM)[1])
        element.set_metainfo(changed)
        if why is None:
            assert judge(nothing, predicted=[element])['coco/all_ap'] == pytest.approx(1)
        else:
            with pytest.raises(ValueError, match=rf'truth\.json.* {why}'):
                judge(nothing, predicted=[element])


def test_results_are_written_with_the_ids_of_the_file(tmp_path):
    content = copy.deepcopy(FARM)
    with_ids(('cup', 'mug'))(content)
    path = tmp_path / 'truth.json'
    path.write_text(json.dumps(content))
    prefix = tmp_path / 'out'
    config = dict(type='OpenVocabCocoMetric', format_only=True, outfile_prefix=str(prefix))
    evaluator = Evaluator([METRICS.build(dict(config, ann_file=str(path)))])
    evaluator.dataset_meta = META
    evaluator.process([sample('mug', perfect(FARM)[2])])
    evaluator.evaluate(1)
    written = json.loads((tmp_path / 'out.bbox.json').read_text())
    assert [(entry['image_id'], entry['category_id']) for entry in written] == [
        ('mug', 30),
        ('mug', 20),
    ]


def to_run_lengths(content, compressed=True):
    """Replace the polygons of the farm."""
    for entry in content['annotations']:
        mask = box_mask(entry['bbox'])
        changes = np.flatnonzero(np.diff(mask.ravel('F'))) + 1
        counts = np.diff([0, *changes.tolist(), mask.size]).tolist()
        if compressed:
            counts = rle.encode(np.asfortranarray(mask, np.uint8))['counts'].decode()
        entry['segmentation'] = dict(size=[SIZE, SIZE], counts=counts)


@pytest.mark.parametrize('compressed', [True, False])
@pytest.mark.parametrize('kind', KINDS)
def test_masks_as_run_lengths(judge, kind, compressed):
    numbers = judge(lambda content: to_run_lengths(content, compressed), kind)
    assert [numbers[key] for key in KINDS[kind]] == pytest.approx([1, 1, 1])


def test_a_wrong_mask_is_named_before_the_first_image(judge):
    def change(content):
        to_run_lengths(content)
        content['annotations'][2]['segmentation']['size'] = [SIZE, SIZE - 1]

    with pytest.raises(ValueError, match=r'truth\.json: 1 of 4 annotations.*annotation 3 has size'):
        judge(change)
    assert judge(change, metric='bbox')['coco/all_ap'] == 1


@pytest.mark.parametrize('path', ['data/coco/train2017/1.jpg', 'data/1.jpg', 'b/2.jpg'])
def test_images_of_lvis_are_named_by_url(judge, path):
    def change(content):
        content['images'][0]['coco_url'] = 'http://images.cocodataset.org/train2017/1.jpg'
        del content['images'][0]['file_name']

    element = sample(1, perfect(FARM)[1])
    element.set_metainfo(dict(img_path=path))
    if path.endswith('train2017/1.jpg'):
        numbers = judge(change, 'OpenVocabLVISMetric', [element])
        assert numbers['lvis/bbox_ap'] == pytest.approx(1)
        return
    with pytest.raises(ValueError, match=r'image 1 is train2017/1\.jpg, the data set has'):
        judge(change, 'OpenVocabLVISMetric', [element])
