"""Labels out of panoptic files and of wide label maps, by hand."""

import json

import numpy as np
import pytest
from mmengine.registry import DATASETS, TRANSFORMS, DefaultScope
from PIL import Image

pytest.importorskip('mmseg')

from mmseg.datasets import BaseSegDataset

import clipself_mm.segmentation  # noqa: F401
from clipself_mm.datasets import ImageReadError, load_vocabulary
from clipself_mm.segmentation.load_panoptic_semantic import labels_of

VOCABULARY = dict(classes=['sky', 'cat', 'grass'], things=['cat'])
CATEGORIES = [
    dict(id=9, name='grass', isthing=0),
    dict(id=4, name='cat', isthing=1),
    dict(id=2, name='sky', isthing=0),
]
IDS = np.array([[0, 7, 7], [65793, 300, 300]])  # void, a cat, the sky (1, 1, 1), another cat
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadPanopticSemantic'),
    dict(type='PackSegInputs'),
]


def rgb_of(ids):
    return np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)


@pytest.fixture
def panoptic(tmp_path):
    """Writes a panoptic data set of one image; returns the config of a `PanopticSegDataset`."""
    for folder in ('img', 'seg'):
        (tmp_path / folder).mkdir()
    Image.new('RGB', (3, 2), (255, 0, 0)).save(tmp_path / 'img/a.png')
    Image.fromarray(rgb_of(IDS)).save(tmp_path / 'seg/b.png')
    (tmp_path / 'vocabulary.json').write_text(json.dumps(VOCABULARY))

    def write(segments=((7, 4), (65793, 2), (300, 4)), categories=CATEGORIES, **kwargs):
        content = dict(
            images=[dict(id=1, file_name='a.png', width=3, height=2)],
            annotations=[
                dict(
                    image_id=1,
                    file_name='b.png',
                    segments_info=[dict(id=i, category_id=c) for i, c in segments],
                )
            ],
            categories=list(categories),
        )
        (tmp_path / 'panoptic.json').write_text(json.dumps(content))
        return dict(
            type='PanopticSegDataset',
            data_root=str(tmp_path),
            ann_file='panoptic.json',
            data_prefix=dict(img_path='img', seg_map_path='seg'),
            vocabulary=str(tmp_path / 'vocabulary.json'),
            pipeline=PIPELINE,
            **kwargs,
        )

    with DefaultScope.overwrite_default_scope('mmseg'):
        yield write


def test_segments_get_the_labels_of_the_vocabulary(panoptic):
    dataset = DATASETS.build(panoptic(test_mode=True))
    assert isinstance(dataset, BaseSegDataset)
    assert dataset.metainfo['classes'] == ('sky', 'cat', 'grass')
    assert len(dataset.metainfo['palette']) == 3
    sample = dataset[0]
    assert sample['data_samples'].gt_sem_seg.data.tolist() == [[[255, 1, 1], [0, 1, 1]]]
    assert sample['inputs'].shape == (3, 2, 3)
    assert sample['inputs'][:, 0, 0].tolist() == [0, 0, 255]  # mmcv loads BGR


def test_ignore_index_can_be_set(panoptic):
    sample = DATASETS.build(panoptic(ignore_index=65535))[0]
    assert sample['data_samples'].gt_sem_seg.data[0, 0, 0].item() == 65535


def test_unknown_categories_raise_or_are_ignored(panoptic):
    more = [*CATEGORIES, dict(id=5, name='rug', isthing=0)]
    segments = ((7, 4), (65793, 5), (300, 4))
    with pytest.raises(ValueError, match=r"panoptic\.json.*\b1\b.*\b4\b.*'rug'"):
        DATASETS.build(panoptic(segments, more))
    sample = DATASETS.build(panoptic(segments, more, ignore_unknown=True))[0]
    assert sample['data_samples'].gt_sem_seg.data.tolist() == [[[255, 1, 1], [255, 1, 1]]]


def test_ignore_index_of_a_class_raises(panoptic):
    with pytest.raises(ValueError, match=r'ignore_index.*\b2\b.*\b3\b'):
        DATASETS.build(panoptic(ignore_index=2))


def test_unlisted_segment_raises(panoptic):
    dataset = DATASETS.build(panoptic(segments=((7, 4), (300, 4))))
    with pytest.raises(ImageReadError, match=r'b\.png.*\[65793\].*\b2\b'):
        dataset[0]


def test_size_mismatch_raises(panoptic, tmp_path):
    dataset = DATASETS.build(panoptic())
    Image.fromarray(rgb_of(IDS.T)).save(tmp_path / 'seg/b.png')
    with pytest.raises(ImageReadError, match=r'b\.png.*2 x 3.*a\.png.*3 x 2'):
        dataset[0]


def test_entry_without_image_raises(panoptic, tmp_path):
    config = panoptic()
    content = json.loads((tmp_path / 'panoptic.json').read_text())
    content['images'][0]['id'] = 99
    (tmp_path / 'panoptic.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"panoptic\.json.*'image_id'.*\b1\b"):
        DATASETS.build(config)


def test_segment_labels_by_hand():
    ids = np.array([[5, 0], [9, 5]], np.int32)
    assert labels_of(ids, {5: 1, 9: 0, 11: 2}, 255).tolist() == [[1, 255], [0, 1]]


def test_shapes_ov_pixels_all_have_a_class(shapes):
    """Every pixel of a scene is of a segment; a stuff class covers the rest of each."""
    dataset = dict(
        type='PanopticSegDataset',
        data_root=str(shapes),
        ann_file='annotations/panoptic_val.json',
        data_prefix=dict(img_path='val', seg_map_path='annotations/panoptic_val'),
        vocabulary='shapes_ov_panoptic',
        pipeline=PIPELINE,
    )
    with DefaultScope.overwrite_default_scope('mmseg'):
        dataset = DATASETS.build(dataset)
        samples = [dataset[index]['data_samples'] for index in range(len(dataset))]
    assert len(samples) == 9
    stuff = {
        dataset.metainfo['classes'].index(name)
        for name in set(dataset.metainfo['classes'])
        - set(load_vocabulary('shapes_ov_panoptic').things)
    }
    for sample in samples:
        labels = set(sample.gt_sem_seg.data.unique().tolist())
        assert labels <= set(range(73))
        assert labels & stuff
        assert labels - stuff


@pytest.mark.parametrize('name', ['labels.png', 'labels.tif'])
def test_uint16_labels(tmp_path, name):
    labels = np.array([[0, 255, 256], [846, 65535, 3]], np.uint16)
    Image.fromarray(labels).save(tmp_path / name)
    load = TRANSFORMS.build(dict(type='LoadUint16Labels', num_classes=847))
    sample = dict(seg_map_path=str(tmp_path / name), ori_shape=(2, 3), img_path='x', seg_fields=[])
    found = load(sample)
    assert found['gt_seg_map'].tolist() == labels.tolist()
    assert found['seg_fields'] == ['gt_seg_map']
    narrow = TRANSFORMS.build(dict(type='LoadUint16Labels', num_classes=846))
    with pytest.raises(ImageReadError, match=rf'{name}.*\b845\b.*\b846\b'):
        narrow(sample)
    with pytest.raises(ImageReadError, match=r'3 x 2.*2 x 3'):
        load(dict(sample, ori_shape=(3, 2)))


def test_uint16_labels_reject_rgb_and_ignore_index_of_a_class(tmp_path):
    Image.new('RGB', (3, 2)).save(tmp_path / 'rgb.png')
    load = TRANSFORMS.build(dict(type='LoadUint16Labels', num_classes=5))
    with pytest.raises(ImageReadError, match=r'rgb\.png.*\bRGB\b'):
        load(dict(seg_map_path=str(tmp_path / 'rgb.png'), ori_shape=(2, 3)))
    with pytest.raises(ValueError, match=r'ignore_index.*\b255\b.*\b847\b'):
        TRANSFORMS.build(dict(type='LoadUint16Labels', num_classes=847, ignore_index=255))


@pytest.mark.parametrize('kind', ['LoadPanopticSemantic', 'LoadUint16Labels'])
def test_sample_without_labels_is_unchanged(kind):
    more = dict(num_classes=2) if kind == 'LoadUint16Labels' else {}
    assert TRANSFORMS.build(dict(type=kind, **more))({'img': 1}) == {'img': 1}
