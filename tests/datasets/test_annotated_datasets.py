import json

import numpy as np
import pytest
from mmengine.registry import DATASETS
from PIL import Image

from clipself_mm.datasets import BoxRegions, PanopticRegions
from tests.datasets.coco_files import box, write_images, write_json

CATEGORIES = [
    dict(id=31, name='dog', isthing=1),
    dict(id=7, name='sky', isthing=0),
    dict(id=2, name='cat', isthing=1),
]


@pytest.fixture
def vocabulary(tmp_path):
    """Classes in another order than the categories of the json."""
    path = tmp_path / 'pets.json'
    path.write_text(json.dumps(dict(classes=['cat', 'dog', 'sky'], things=['cat', 'dog'])))
    return str(path)


@pytest.fixture
def boxes_json(tmp_path):
    return write_json(
        tmp_path / 'boxes.json',
        images=write_images(tmp_path, [(40, 30), (40, 30)]),
        annotations=[
            box(0, [1, 2, 20, 10], category_id=31),
            box(0, [5, 5, 9, 9], category_id=2),
            box(0, [0, 0, 40, 30], category_id=2, iscrowd=1),
            box(0, [0, 0, 2, 2], category_id=2),
        ],
        categories=CATEGORIES,
    )


PIPELINE = [
    dict(type='LoadRGB'),
    dict(type='AnnotatedRegions'),
    dict(type='CropRegions', size=8),
    dict(type='ResizeLongest', size=80),
    dict(type='PackRegions'),
]


def test_box_labels_are_matched_by_name(tmp_path, boxes_json, vocabulary):
    dataset = DATASETS.build(
        dict(
            type='BoxRegions',
            ann_file=boxes_json,
            vocabulary=vocabulary,
            data_prefix=dict(img=str(tmp_path)),
            pipeline=PIPELINE,
            test_mode=True,
        )
    )
    assert dataset.metainfo['classes'] == ('cat', 'dog', 'sky')
    assert dataset.metainfo['things'] == ('cat', 'dog')
    regions = dataset[0]['data_samples'].regions
    assert regions.labels.tolist() == [1, 0]  # crowd and the 2 x 2 box are left out
    assert regions.is_thing.tolist() == [True, True]
    assert regions.boxes_px.tolist() == [[2, 4, 42, 24], [10, 10, 28, 28]]
    assert 'masks' not in regions
    empty = dataset[1]
    assert empty['inputs']['crops'].shape == (0, 3, 8, 8)
    assert len(empty['data_samples'].regions) == 0


def test_unknown_categories_raise_unless_ignored(tmp_path, boxes_json):
    (tmp_path / 'cats.txt').write_text('cat\nsky\n')
    vocabulary = str(tmp_path / 'cats.txt')
    with pytest.raises(ValueError, match=r"boxes\.json.*\b1\b.*\b3\b.*cats.*\['dog'\]"):
        BoxRegions(boxes_json, vocabulary)
    (tmp_path / 'other.txt').write_text('unicorn\n')
    with pytest.raises(ValueError, match=r'boxes\.json.*\b3\b.*\b3\b.*other'):
        BoxRegions(boxes_json, str(tmp_path / 'other.txt'), ignore_unknown=True)
    (tmp_path / 'cats.json').write_text(
        json.dumps(dict(classes=['cat', 'sky'], things=['cat'], ids=[2, 7]))
    )
    dataset = BoxRegions(boxes_json, str(tmp_path / 'cats.json'), ignore_unknown=True)
    assert dataset.get_data_info(0)['labels'].tolist() == [0, 0]


def test_isthing_that_contradicts_the_vocabulary_raises(tmp_path, boxes_json):
    (tmp_path / 'all.txt').write_text('cat\ndog\nsky\n')
    with pytest.raises(ValueError, match=r"boxes\.json.*'sky'.*isthing 0.*all"):
        BoxRegions(boxes_json, str(tmp_path / 'all.txt'))


@pytest.fixture
def panoptic(tmp_path):
    """One 40 x 30 image: sky (id 5) with a dog (id 300) and a crowd of cats (id 70000)."""
    segment_map = np.full((30, 40), 5)
    segment_map[10:20, 10:30] = 300
    segment_map[20:30, 0:9] = 70000
    colours = np.stack([segment_map >> shift & 255 for shift in (0, 8, 16)], -1)
    (tmp_path / 'seg').mkdir()
    Image.fromarray(colours.astype(np.uint8)).save(tmp_path / 'seg' / 's.png')
    return dict(
        images=write_images(tmp_path / 'img', [(40, 30), (8, 8)]),
        annotations=[
            dict(
                image_id=0,
                file_name='s.png',
                segments_info=[
                    dict(id=300, category_id=31, bbox=[10, 10, 20, 10], iscrowd=0),
                    dict(id=5, category_id=7, bbox=[0, 0, 1, 1], iscrowd=0),
                    dict(id=70000, category_id=2, bbox=[0, 20, 9, 10], iscrowd=1),
                ],
            )
        ],
        categories=CATEGORIES,
    )


def panoptic_dataset(tmp_path, content, vocabulary, **options):
    return PanopticRegions(
        ann_file=write_json(tmp_path / 'panoptic.json', **content),
        data_prefix=dict(img=str(tmp_path / 'img'), seg=str(tmp_path / 'seg')),
        vocabulary=vocabulary,
        test_mode=True,
        **options,
    )


def test_panoptic_files_to_sample(tmp_path, panoptic, vocabulary):
    pipeline = [
        PIPELINE[0],
        dict(type='LoadSegments'),
        *PIPELINE[1:4],
        dict(type='ResizeRegionMasks', patch_size=2),
        PIPELINE[4],
    ]
    dataset = panoptic_dataset(tmp_path, panoptic, vocabulary, pipeline=pipeline)
    assert len(dataset) == 1
    packed = dataset[0]
    regions = packed['data_samples'].regions
    assert regions.labels.tolist() == [1, 2, 0]
    assert regions.is_thing.tolist() == [True, False, True]
    # The sky's box is its extent, 0..39 and 0..29 with an exclusive maximum, not the json's.
    assert regions.boxes_px[1].tolist() == [0, 0, 78, 58]
    assert regions.boxes_px[0].tolist() == [20, 20, 60, 40]
    assert packed['inputs']['crops'].shape == (3, 3, 8, 8)
    assert regions.masks.shape == (3, 40, 40)
    assert regions.masks[0].sum() == 200
    assert regions.masks[:, :30].sum() == 1200  # one token per pixel: the segments tile the photo
    assert not regions.masks[:, 30:].any()


@pytest.mark.parametrize(
    ('change', 'complaint'),
    [
        (dict(image_id=9), r'image_id.*\b9\b'),
        (dict(segments_info=None), r"'segments_info'.*image_id 0 and.*'file_name': 's\.png'"),
    ],
)
def test_broken_panoptic_entries_raise(tmp_path, panoptic, vocabulary, change, complaint):
    entry = {k: v for k, v in {**panoptic['annotations'][0], **change}.items() if v is not None}
    with pytest.raises(ValueError, match=complaint) as error:
        panoptic_dataset(tmp_path, dict(panoptic, annotations=[entry]), vocabulary)
    assert 'panoptic.json' in str(error.value)


def test_panoptic_file_without_categories_raises(tmp_path, panoptic, vocabulary):
    del panoptic['categories']
    with pytest.raises(ValueError, match=r"panoptic\.json.*'categories'"):
        panoptic_dataset(tmp_path, panoptic, vocabulary)
