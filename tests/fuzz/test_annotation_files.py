"""Annotation files, every node of them wrong in every way, at every door that reads them."""

import json
import math

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.registry import DATASETS, METRICS
from mmengine.structures import InstanceData

import clipself_mm.evaluation
import clipself_mm.panoptic
import clipself_mm.segmentation  # noqa: F401  registers the data sets
from clipself_mm.datasets.annotations.captions import load_captions
from clipself_mm.datasets.proposals.reading import read_proposals
from tests.fuzz.mutations import encodings, json_mutations, whole_files

MUTATIONS = 60
"""Per file and door."""
SHAPE = (60, 80)
WORDS = dict(things=('cat', 'dog'), stuff=('sky',))
CLASSES = ('cat', 'dog', 'sky')
LOADED = [dict(type='mmdet.LoadAnnotations', with_bbox=True)]
MASKS = [dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True)]
RING = [10, 10, 30, 10, 30, 40, 10, 40]
IMAGES = [
    dict(id=3, file_name='a/1.jpg', width=80, height=60),
    dict(id=7, file_name='b.jpg', width=80, height=60),
]
CATEGORIES = [dict(id=5, name='dog'), dict(id=2, name='cat')]
BOXES = dict(
    images=IMAGES,
    annotations=[
        dict(
            id=1,
            image_id=3,
            category_id=5,
            bbox=[10, 10, 20, 30],
            area=600.0,
            iscrowd=0,
            segmentation=[RING],
        ),
        dict(
            id=4,
            image_id=7,
            category_id=2,
            bbox=[5, 5, 10.5, 10],
            area=105,
            iscrowd=1,
            segmentation=dict(size=[60, 80], counts=[300, 100, 4400]),
        ),
    ],
    categories=CATEGORIES,
)
LVIS = dict(
    images=[
        dict(
            id=3,
            coco_url='http://images.cocodataset.org/val2017/000000000001.jpg',
            width=80,
            height=60,
            neg_category_ids=[2],
            not_exhaustive_category_ids=[],
        )
    ],
    annotations=BOXES['annotations'][:1],
    categories=[dict(entry, frequency='r') for entry in CATEGORIES],
)
PANOPTIC = dict(
    images=IMAGES,
    annotations=[
        dict(
            image_id=3,
            file_name='1.png',
            segments_info=[
                dict(id=9, category_id=5, bbox=[1, 2, 3, 4], area=12, iscrowd=0),
                dict(id=300, category_id=6, bbox=[0, 0, 5, 5], area=25, iscrowd=0),
            ],
        ),
        dict(image_id=7, file_name='2.png', segments_info=[]),
    ],
    categories=[
        *(dict(entry, isthing=1) for entry in CATEGORIES),
        dict(id=6, name='sky', isthing=0),
    ],
)
CAPTIONS = dict(
    images=IMAGES,
    annotations=[
        dict(id=1, image_id=3, caption='a cat and a dog'),
        dict(id=2, image_id=7, caption='two dogs'),
    ],
)


def data_set(name, **settings):
    """Reads the samples of a data set, without its pipeline."""

    def read(path):
        given = dict(data_prefix=dict(img='images'), vocabulary=str(path.parent / 'classes.json'))
        given = {key: value for key, value in (given | settings).items() if value is not None}
        given = dict(pipeline=[]) | given
        given.update(type=name, ann_file=str(path), serialize_data=False)
        if 'caption_file' in settings:  # the captions are mutated, the boxes are not
            given.update(ann_file=str(path.parent / 'boxes.json'), caption_file=str(path))
        built = DATASETS.build(given)
        return [built.get_data_info(index) for index in range(len(built))]

    return read


def metric(name, **settings):
    """Reads the ground truth of a metric, and evaluates one prediction an image."""

    def read(path):
        built = METRICS.build(dict(type=name, ann_file=str(path), **settings))
        built.dataset_meta = dict(classes=CLASSES[:2])
        for image in (3, 7)[: 1 if 'LVIS' in name else 2]:
            found = InstanceData(
                bboxes=torch.tensor([[10.0, 10, 30, 40], [5, 5, 15, 15]]),
                scores=torch.tensor([0.9, 0.8]),
                labels=torch.tensor([1, 0]),
                masks=torch.zeros(2, *SHAPE, dtype=torch.bool),
            )
            sample = DetDataSample(metainfo=dict(img_id=image, ori_shape=SHAPE))
            sample.pred_instances = found
            built.process({}, [sample.to_dict()])
        return built.evaluate(len(built.results))

    return read


def panoptic_metric(path):
    built = METRICS.build(
        dict(type='OpenVocabPanopticMetric', ann_file=str(path), seg_prefix=str(path.parent))
    )
    built.dataset_meta = dict(classes=CLASSES, thing_classes=CLASSES[:2], stuff_classes=CLASSES[2:])
    return str(sorted(built.dataset_meta))


def proposals(path):
    images = [dict(id=1, file_name='a/1.jpg'), dict(id=2, file_name='b.jpg')]
    return read_proposals(str(path), images, 'other.json')


DOORS = {
    'ImageRegions': (BOXES, data_set('ImageRegions', vocabulary=None)),
    'BoxRegions': (BOXES, data_set('BoxRegions')),
    'RegionTextPairs': (BOXES, data_set('RegionTextPairs', vocabulary=None)),
    'OpenVocabCocoDataset': (BOXES, data_set('OpenVocabCocoDataset', pipeline=LOADED)),
    'OpenVocabCocoDataset test': (
        BOXES,
        data_set('OpenVocabCocoDataset', pipeline=LOADED, test_mode=True),
    ),
    'OpenVocabCocoDataset masks': (BOXES, data_set('OpenVocabCocoDataset', pipeline=MASKS)),
    'OpenVocabCocoDataset LVIS': (LVIS, data_set('OpenVocabCocoDataset', pipeline=LOADED)),
    'OpenVocabCocoMetric': (BOXES, metric('OpenVocabCocoMetric', metric=['bbox', 'segm'])),
    'OpenVocabProposalRecall': (BOXES, metric('OpenVocabProposalRecall')),
    'OpenVocabLVISMetric': (LVIS, metric('OpenVocabLVISMetric', metric='bbox')),
    'proposals': (BOXES, proposals),
    'PanopticRegions': (PANOPTIC, data_set('PanopticRegions')),
    'OpenVocabPanopticDataset': (PANOPTIC, data_set('OpenVocabPanopticDataset', vocabulary=WORDS)),
    'PanopticSegDataset': (PANOPTIC, data_set('PanopticSegDataset', data_prefix={})),
    'OpenVocabPanopticMetric': (PANOPTIC, panoptic_metric),
    'load_captions': (CAPTIONS, load_captions),
    'CaptionedImages': (CAPTIONS, data_set('CaptionedImages', vocabulary=None)),
    'CaptionedRegions': (CAPTIONS, data_set('CaptionedRegions', caption_file='captions.json')),
}


def is_right(original, result, content):
    """A result has the kinds of values that training and evaluation work with."""
    if isinstance(result, dict) and all(isinstance(value, float) for value in result.values()):
        return all(-1 <= value <= 1 for value in result.values())
    if isinstance(result, dict):
        return all(isinstance(text, str) for texts in result.values() for text in texts)
    if isinstance(result, tuple):
        return all(np.isfinite(boxes).all() for boxes, _ in result[0].values())
    return bool(result) and all(map(is_sample, result))


def is_sample(info):
    assert isinstance(info['img_path'], str)
    assert info['img_path'].strip()
    assert '\0' not in info['img_path']
    if 'img_id' in info:
        assert type(info['img_id']) in (int, str)
    for key in ('height', 'width'):
        if key in info:
            assert type(info[key]) is int
            assert info[key] > 0
    boxes = info.get('boxes_xywh', np.zeros((0, 4)))
    assert boxes.shape == (len(boxes), 4)
    assert np.isfinite(boxes).all()
    for label in (*info.get('labels', ()), *info.get('segment_labels', {}).values()):
        assert 0 <= label < 256
    assert all(type(key) is int for key in info.get('segment_ids', ()))
    assert all(isinstance(text, str) and text.strip() for text in info.get('captions', ()))
    for part in (*info.get('instances', ()), *info.get('segments_info', ())):
        box = part.get('bbox')
        if box is not None:
            assert len(box) == 4
            assert all(type(edge) in (int, float) and math.isfinite(edge) for edge in box)
        for key in ('bbox_label', 'category', 'id', 'ignore_flag', 'is_thing'):
            assert key not in part or int(part[key]) == part[key] >= 0
        mask = part.get('mask')
        if isinstance(mask, list):
            assert mask
            for ring in mask:
                assert len(ring) >= 6
                assert len(ring) % 2 == 0
                assert all(type(edge) in (int, float) and math.isfinite(edge) for edge in ring)
        elif mask is not None:
            assert mask['size'] == list(SHAPE)
    return True


@pytest.mark.parametrize('door', DOORS)
def test_annotations(door, check, tmp_path):
    tree, read = DOORS[door]
    folder = tmp_path / 'files'
    folder.mkdir()
    classes = CLASSES if tree is PANOPTIC else CLASSES[:2]
    (folder / 'classes.json').write_text(json.dumps(dict(classes=classes, things=CLASSES[:2])))
    (folder / 'boxes.json').write_text(json.dumps(BOXES))
    path, content = folder / 'annotations.json', json.dumps(tree).encode()
    path.write_bytes(content)
    cases = [*json_mutations(tree, MUTATIONS)]
    if door in ('ImageRegions', 'load_captions'):
        cases += [*whole_files(content), *encodings(content.decode())]
    check(path, read, cases, is_right)
