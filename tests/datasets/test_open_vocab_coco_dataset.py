"""Labels of a vocabulary, base-only boxes, LVIS files, and mmdet's options."""

import json

import pytest
import torch
from mmdet.datasets import VOCDataset
from mmdet.datasets.samplers import ClassAwareSampler
from mmdet.registry import DATASETS as MMDET_DATASETS
from mmdet.visualization.palette import get_palette
from mmengine.registry import DATASETS
from mmengine.structures import InstanceData

from clipself_mm.datasets import OpenVocabCocoDataset, load_vocabulary
from clipself_mm.evaluation import OpenVocabCocoMetric
from tests.datasets.coco_files import write_images, write_json

IDS = dict(ant=7, bee=30, cow=20, dog=1, gnu=99)
"""Category ids; the vocabulary is ant, bee, cow, dog, of which bee and dog are novel."""


def categories(*names):
    return [dict(id=IDS[name], name=name) for name in names]


def annotation(number, image_id, name, box, **more):
    x, y, w, h = box
    return dict(
        id=number,
        image_id=image_id,
        category_id=IDS[name],
        bbox=box,
        area=w * h,
        iscrowd=more.pop('iscrowd', 0),
        segmentation=[[x, y, x + w, y, x + w, y + h, x, y + h]],
        **more,
    )


def content(order=('gnu', 'cow', 'dog', 'ant', 'bee')):
    """Image 0: base and novel; 1: novel only; 2: outside the vocabulary only; 3: nothing."""
    return dict(
        images=[
            dict(id=key, file_name=f'{key}.png', width=40 + key, height=30 + key)
            for key in range(4)
        ],
        annotations=[
            annotation(1, 0, 'cow', [1, 2, 10, 10]),
            annotation(2, 1, 'dog', [3, 4, 20, 20]),
            annotation(3, 0, 'bee', [5, 6, 12, 12]),
            annotation(4, 0, 'ant', [0, 0, 20, 20], iscrowd=1),
            annotation(5, 2, 'gnu', [0, 0, 20, 20]),
            annotation(6, 0, 'gnu', [0, 0, 20, 20]),
        ],
        categories=categories(*order),
    )


@pytest.fixture
def vocabulary(tmp_path):
    path = tmp_path / 'farm.json'
    lists = dict(classes=['ant', 'bee', 'cow', 'dog'], base=['ant', 'cow'], novel=['bee', 'dog'])
    path.write_text(json.dumps(lists))
    return str(path)


@pytest.fixture
def build(tmp_path, vocabulary):
    """Builds the dataset from the content of a json."""

    def built(written=None, **config):
        path = write_json(tmp_path / 'boxes.json', **(content() if written is None else written))
        defaults = dict(type='OpenVocabCocoDataset', vocabulary=vocabulary, ann_file=path)
        return DATASETS.build(dict(defaults, data_prefix=dict(img=str(tmp_path)), **config))

    return built


def boxes(dataset):
    """Per image id: (label, x, y, ignored) of its boxes."""
    return {
        info['img_id']: [
            (box['bbox_label'], *box['bbox'][:2], box['ignore_flag']) for box in info['instances']
        ]
        for info in map(dataset.get_data_info, range(len(dataset)))
    }


ALL_BOXES = {0: [(2, 1, 2, 0), (1, 5, 6, 0), (0, 0, 0, 1)], 1: [(3, 3, 4, 0)], 2: [], 3: []}


@pytest.mark.parametrize(
    'order', [('gnu', 'cow', 'dog', 'ant', 'bee'), ('ant', 'bee', 'cow', 'dog', 'gnu')]
)
def test_labels_follow_the_vocabulary_in_any_order_of_the_json(build, order):
    dataset = build(content(order), test_mode=True)
    assert boxes(dataset) == ALL_BOXES
    assert dataset.cat_ids == [IDS['ant'], IDS['bee'], IDS['cow'], IDS['dog']]
    assert dataset.cat2label == {7: 0, 30: 1, 20: 2, 1: 3}


def test_mmdet_itself_takes_the_order_of_the_json(build):
    """The reason for this class; fails when mmdet changes it."""
    path = build().ann_file
    plain = DATASETS.build(
        dict(
            type='mmdet.CocoDataset',
            ann_file=path,
            data_prefix=dict(img=''),
            metainfo=dict(classes=('ant', 'cow')),
            test_mode=True,
        )
    )
    assert boxes(plain)[0] == [(0, 1, 2, 0), (1, 0, 0, 1)]  # the cow is called 0, the ant 1


def test_metainfo(build):
    meta = build(lazy_init=True).metainfo
    assert meta['classes'] == ('ant', 'bee', 'cow', 'dog')
    assert meta['base_classes'] == ('ant', 'cow')
    assert meta['novel_classes'] == ('bee', 'dog')
    for label, (red, green, blue) in enumerate(get_palette(meta['palette'], 4)):
        if label in (1, 3):
            assert red > 2 * max(green, blue)
        else:
            assert blue > 2 * max(red, green)


def test_metainfo_without_split(build):
    written = content()
    names = load_vocabulary('coco').classes
    written['categories'] = [dict(id=n, name=name) for n, name in enumerate(names)]
    written['annotations'] = written['annotations'][:1]
    meta = build(written, vocabulary='coco').metainfo
    assert len(meta['classes']) == 80
    assert meta['base_classes'] == meta['novel_classes'] == ()
    assert len(get_palette(meta.get('palette'), 1203)) == 1203  # mmdet's own choice


def test_metainfo_that_contradicts_the_vocabulary_raises(build):
    classes = ['ant', 'bee', 'cow', 'dog']
    dataset = build(metainfo=dict(classes=classes, palette=[(1, 2, 3)] * 4, note=1))
    assert dataset.metainfo['palette'] == [(1, 2, 3)] * 4
    assert dataset.metainfo['note'] == 1
    with pytest.raises(ValueError, match=r"\b4\b.*classes.*'dog', 'cow', 'bee'.*\b4\b.*farm"):
        build(metainfo=dict(classes=classes[::-1]))
    with pytest.raises(ValueError, match=r"\b1\b.*novel_classes.*'bee'.*\b2\b.*farm"):
        build(metainfo=dict(novel_classes=('bee',)))


def test_base_only_in_training_drops_images_without_a_base_box(build):
    dataset = build(base_only=True, filter_cfg=dict(filter_empty_gt=True, min_size=1))
    assert boxes(dataset) == {0: [(2, 1, 2, 0), (0, 0, 0, 1)]}
    assert dataset.metainfo['classes'] == ('ant', 'bee', 'cow', 'dog')
    both = build(filter_cfg=dict(filter_empty_gt=True))
    assert boxes(both) == {0: ALL_BOXES[0], 1: ALL_BOXES[1]}
    assert set(boxes(build(base_only=True))) == {0, 1, 2, 3}  # no filter_cfg, no filter


def test_test_mode_keeps_every_image_unless_annotated_only(build):
    filters = dict(filter_cfg=dict(filter_empty_gt=True, min_size=999), test_mode=True)
    assert set(boxes(build(**filters))) == {0, 1, 2, 3}
    assert boxes(build(annotated_only=True, **filters)) == {0: ALL_BOXES[0], 1: ALL_BOXES[1]}
    assert set(boxes(build(annotated_only=True, base_only=True, **filters))) == {0}
    assert set(boxes(build(annotated_only=True))) == {0, 1}


def test_a_crowd_counts_as_annotated(build):
    written = content()
    written['annotations'] = [annotation(1, 3, 'bee', [0, 0, 20, 20], iscrowd=1)]
    dataset = build(written, annotated_only=True, test_mode=True)
    assert boxes(dataset) == {3: [(1, 0, 0, 1)]}


def test_mmdet_options(build):
    dataset = build(indices=[1, 0], serialize_data=False, return_classes=True, test_mode=True)
    assert list(boxes(dataset)) == [1, 0]
    info = dataset.get_data_info(0)
    assert info['text'] == ('ant', 'bee', 'cow', 'dog')
    assert (info['height'], info['width']) == (31, 41)
    assert info['instances'][0]['mask'] == [[3, 4, 23, 4, 23, 24, 3, 24]]
    assert dataset.get_cat_ids(1) == [2, 1, 0]
    assert set(boxes(build(filter_cfg=dict(min_size=31)))) == {1, 2, 3}
    tiny = content()
    tiny['annotations'][0]['bbox'] = [1, 2, 0.5, 10]
    assert boxes(build(tiny))[0] == ALL_BOXES[0][1:]


def test_class_aware_sampler(build):
    sampler = ClassAwareSampler(build(filter_cfg=dict(filter_empty_gt=True)), seed=0)
    assert sampler.cat_dict == {0: [0], 1: [0], 2: [0], 3: [1]}


def test_sample_of_the_pipeline(build, tmp_path):
    written = content()
    written['images'] = write_images(tmp_path, [(40, 30)] * 4)
    steps = [
        dict(type='LoadImageFromFile'),
        dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True),
        dict(type='mmdet.PackDetInputs'),
    ]
    dataset = build(written, base_only=True, pipeline=steps)
    sample = dataset[0]['data_samples']
    assert sample.gt_instances.labels.tolist() == [2]
    assert sample.gt_instances.bboxes.tensor.tolist() == [[1, 2, 11, 12]]
    assert sample.gt_instances.masks.to_ndarray().sum() == 100
    assert sample.ignored_instances.labels.tolist() == [0]


def test_lvis_images_have_a_url(build, tmp_path):
    written = content()
    for image in written['images']:
        name = image.pop('file_name')
        image['coco_url'] = f'http://images.cocodataset.org/train2017/{name}'
    for entry in written['annotations']:
        del entry['iscrowd']
    dataset = build(written, base_only=True)
    assert dataset.get_data_info(1)['img_path'] == str(tmp_path / 'train2017' / '1.png')
    assert boxes(dataset)[0] == [(2, 1, 2, 0), (0, 0, 0, 0)]


def test_lvis_vocabulary(build):
    written = content()
    names = load_vocabulary('ov_lvis').classes
    written['categories'] = [dict(id=n, name=name) for n, name in enumerate(names[::-1], 1)]
    written['annotations'] = [annotation(1, 0, 'ant', [1, 2, 10, 10])]
    written['annotations'][0]['category_id'] = 1
    dataset = build(written, vocabulary='ov_lvis')
    assert boxes(dataset)[0] == [(1202, 1, 2, 0)]
    assert len(dataset.metainfo['novel_classes']) == 337


def test_the_json_may_lack_novel_classes_only(build):
    def without(*names):
        ids = {IDS[name] for name in names}
        written = content(tuple(IDS.keys() - set(names)))
        kept = [entry for entry in written['annotations'] if entry['category_id'] not in ids]
        return dict(written, annotations=kept)

    dataset = build(without('bee', 'gnu'), test_mode=True)
    assert boxes(dataset)[0] == [(2, 1, 2, 0), (0, 0, 0, 1)]
    assert boxes(dataset)[1] == [(3, 3, 4, 0)]  # the label of the dog, though the bee is not there
    assert dataset.cat_ids == [IDS['ant'], IDS['cow'], IDS['dog']]
    with pytest.raises(ValueError, match=r"boxes\.json.*\b1\b.*\b2\b.*farm.*\['ant'\]"):
        build(without('ant'))
    with pytest.raises(ValueError, match=r"boxes\.json.*\b4\b.*farm.*\['gnu'\]"):
        build(without('ant', 'bee', 'cow', 'dog'))


def test_missing_class_raises_without_a_split(build, tmp_path):
    path = tmp_path / 'flat.txt'
    path.write_text('ant\nyak\n')
    with pytest.raises(ValueError, match=r"boxes\.json.*\b1\b.*\b2\b.*flat.*\['yak'\]"):
        build(vocabulary=str(path))
    with pytest.raises(ValueError, match=r'base_only.*flat'):
        build(vocabulary=str(path), base_only=True)


def test_broken_files(build, tmp_path, vocabulary):
    written = content()
    del written['annotations']
    with pytest.raises(ValueError, match=r"boxes\.json.*'annotations'"):
        build(written)
    written = content()
    del written['images'][1]['height']
    with pytest.raises(ValueError, match=r'boxes\.json.*\b1\b.*height.*width'):
        build(written)
    written = content()
    del written['images'][2]['file_name']
    with pytest.raises(ValueError, match=r"boxes\.json.*\b2\b.*'file_name'.*'coco_url'"):
        build(written)
    written = content()
    written['annotations'] = written['annotations'][1:3]
    with pytest.raises(ValueError, match=r'boxes\.json.*4 images, 2 boxes: 2 of novel.*base_only'):
        build(written, base_only=True, filter_cfg=dict(filter_empty_gt=True))
    with pytest.raises(FileNotFoundError, match=r'none\.json'):
        OpenVocabCocoDataset(str(tmp_path / 'none.json'), vocabulary)
    (tmp_path / 'cut.json').write_text('{"images": [')
    with pytest.raises(ValueError, match=r'cut\.json'):
        OpenVocabCocoDataset(str(tmp_path / 'cut.json'), vocabulary)


def test_mmdet_has_no_class_of_this_name():
    assert 'OpenVocabCocoDataset' not in MMDET_DATASETS.module_dict


def test_agrees_with_mmdet_where_the_orders_agree(build):
    order = ('ant', 'bee', 'cow', 'dog', 'gnu')
    steps = [dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True)]
    for filters in (dict(test_mode=True), dict(filter_cfg=dict(filter_empty_gt=True))):
        filters['pipeline'] = steps
        ours = build(content(order), **filters)
        theirs = DATASETS.build(
            dict(
                type='mmdet.CocoDataset',
                ann_file=ours.ann_file,
                data_prefix=ours.data_prefix,
                metainfo=dict(classes=order[:4]),
                **filters,
            )
        )
        assert len(ours) == len(theirs)
        for index in range(len(ours)):
            info = ours.get_data_info(index)
            info.pop('boxes_extent', None)  # for our reader of images
            assert info == theirs.get_data_info(index)
        assert ours.cat_ids == theirs.cat_ids


def test_voc_json_with_the_names_of_the_development_kit(tmp_path):
    """VOC as mmdet's converter writes it: `diningtable` and `tvmonitor` are the model's classes."""
    names = [*reversed(VOCDataset.METAINFO['classes']), 'a class of others']
    path = write_json(
        tmp_path / 'voc07_test.json',
        images=write_images(tmp_path, [(60, 40)]),
        annotations=[
            dict(annotation(1, 0, 'ant', [0, 0, 20, 20]), category_id=names.index('diningtable')),
            dict(annotation(2, 0, 'ant', [9, 9, 20, 20]), category_id=names.index('tvmonitor')),
        ],
        categories=[dict(id=key, name=name) for key, name in enumerate(names)],
    )
    data = OpenVocabCocoDataset(path, 'voc07', data_prefix=dict(img=''), test_mode=True)
    labels = [entry['bbox_label'] for entry in data.get_data_info(0)['instances']]
    assert [data.metainfo['classes'][label] for label in labels] == ['dining table', 'tv monitor']

    metric = OpenVocabCocoMetric(path)
    metric.dataset_meta = data.metainfo
    found = InstanceData(
        bboxes=torch.tensor([[0.0, 0, 20, 20], [9, 9, 29, 29]]),
        scores=torch.tensor([0.9, 0.8]),
        labels=torch.tensor(labels),
    )
    sample = dict(img_id=0, ori_shape=(40, 60), pred_instances=found.to_dict())
    metric.process({}, [sample])
    assert metric.evaluate(1)['coco/all_ap50'] == pytest.approx(1)
