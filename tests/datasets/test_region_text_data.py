"""Captions, proposals and pairs on disk, up to the sample."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS

from clipself_mm.datasets import (
    CaptionedRegions,
    ProposalRegions,
    RegionTextPairs,
    SampleRegions,
    SeededIndex,
    load_nouns,
)
from tests.datasets.coco_files import box, write_images, write_json

CONFIGS = Path(__file__).parents[2] / 'configs'
NOUNS = ['cup', 'dog', 'pen', 'tree']


@pytest.fixture
def vocabulary(tmp_path):
    path = tmp_path / 'nouns.txt'
    path.write_text('\n'.join(NOUNS))
    return str(path)


@pytest.fixture
def pairs_json(tmp_path):
    """Ids in no order; one image without a box, one with a box that is too small only."""
    return write_json(
        tmp_path / 'pairs.json',
        images=write_images(tmp_path / 'img', [(60, 40), (60, 40), (60, 40)]),
        annotations=[
            box(0, [2, 2, 12, 10], category_id=31),
            box(0, [20, 10, 20, 20], category_id=7),
            box(0, [5, 5, 30, 30], category_id=12),
            box(0, [0, 0, 2, 2], category_id=31),
            box(2, [0, 0, 3, 3], category_id=7),
        ],
        categories=[
            dict(id=31, name='pen'),
            dict(id=7, name='tree'),
            dict(id=90, name='dog'),
            dict(id=12, name='cup'),
        ],
    )


def pipeline(**options):
    return [
        dict(type='LoadRGB'),
        dict(type='SampleRegions', regions=dict(type='ProposalRegions', fallback=False, **options)),
        dict(type='ResizeLongest', size=120),
        dict(type='PackRegions'),
    ]


def test_own_categories_are_labelled_by_ascending_id(pairs_json):
    data = RegionTextPairs(pairs_json)
    assert data.metainfo['classes'] == ('tree', 'cup', 'pen', 'dog')
    assert data.get_data_info(0)['labels'].tolist() == [2, 0, 1, 2]
    assert load_nouns(pairs_json).classes == data.metainfo['classes']
    assert load_nouns(pairs_json).ids == (7, 12, 31, 90)


def test_labels_of_a_vocabulary_are_matched_by_name(pairs_json, vocabulary):
    data = DATASETS.build(dict(type='RegionTextPairs', ann_file=pairs_json, vocabulary=vocabulary))
    assert data.metainfo['classes'] == tuple(NOUNS)
    assert data.get_data_info(0)['labels'].tolist() == [2, 3, 0, 2]


def test_images_without_a_pair_are_dropped(pairs_json):
    for options, expected in ((dict(), [0, 2]), (dict(drop_empty=False), [0, 1, 2])):
        data = RegionTextPairs(pairs_json, **options)
        assert [data.get_data_info(i)['img_id'] for i in range(len(data))] == expected


def test_labels_follow_the_chosen_boxes(tmp_path, pairs_json):
    data = RegionTextPairs(
        pairs_json,
        data_prefix=dict(img=str(tmp_path / 'img')),
        pipeline=pipeline(max_regions=2),
    )
    label_of = {(4, 4, 28, 24): 2, (40, 20, 80, 60): 0, (10, 10, 70, 70): 1}
    seen = set()
    for number in range(100):
        regions = data[SeededIndex(0, number=number)]['data_samples'].regions
        boxes = [tuple(row) for row in regions.boxes_px.tolist()]
        assert [label_of[row] for row in boxes] == regions.labels.tolist()
        seen.add(tuple(boxes))
    # All ordered choices of two out of the four, the small box left out of each.
    assert len(seen) == 9
    assert {len(boxes) for boxes in seen} == {1, 2}


def test_the_configs_take_the_first_boxes_of_the_file(tmp_path, pairs_json):
    """As in the official implementation: no random choice, no limits of the area."""
    config = Config.fromfile(CONFIGS / '_base_/datasets/coco_region-text.py')
    dataset = config.train_dataloader.dataset
    dataset.pipeline[1].regions.max_regions = 2
    dataset.update(
        data_root=None,
        ann_file=pairs_json,
        vocabulary=None,
        data_prefix=dict(img=str(tmp_path / 'img')),
    )
    data = DATASETS.build(dataset)
    for number in range(10):
        first, last = (data[SeededIndex(i, number=number)]['data_samples'].regions for i in (0, 1))
        assert first.labels.tolist() == [2, 0]  # of four
        assert last.labels.tolist() == [0]  # 3 x 3 px
    assert len(data) == 2  # the image without a box is left out


def test_without_a_valid_box_no_region(tmp_path, pairs_json):
    data = RegionTextPairs(
        pairs_json, data_prefix=dict(img=str(tmp_path / 'img')), pipeline=pipeline()
    )
    packed = data[SeededIndex(1)]
    assert packed['data_samples'].regions.boxes_px.shape == (0, 4)
    assert packed['data_samples'].regions.labels.shape == (0,)
    assert packed['data_samples'].regions.labels.dtype == torch.int64
    assert 'crops' not in packed['inputs']


@pytest.mark.parametrize('sampler', [dict(type='GridRegions'), dict(type='ProposalRegions')])
def test_regions_without_a_label_raise(sampler):
    results = dict(
        ori_shape=(40, 60),
        rng_key=(0, 0, 0),
        boxes_xywh=np.array([[0.0, 0, 20, 20]]),
        labels=np.array([5]),
    )
    with pytest.raises(ValueError, match=f"{sampler['type']}.*'ProposalRegions'.*fallback=False"):
        SampleRegions(sampler)(results)


def test_fallback_does_not_change_images_with_a_valid_box():
    boxes = np.random.default_rng(0).uniform(0, 40, (30, 4))
    given = dict(ori_shape=(40, 60), boxes_xywh=boxes)
    for seed in range(5):
        one = ProposalRegions()(given, np.random.default_rng(seed))
        two = ProposalRegions(fallback=False)(given, np.random.default_rng(seed))
        np.testing.assert_array_equal(one, two)
        _, _, chosen = ProposalRegions().choose(given, np.random.default_rng(seed))
        np.testing.assert_array_equal(boxes[chosen, :2], one[0][:, :2])
    empty = ProposalRegions(fallback=False)(
        dict(ori_shape=(40, 60), boxes_xywh=np.zeros((0, 4))), np.random.default_rng(0)
    )
    assert [part.shape for part in empty] == [(0, 4), (0, 4)]


@pytest.mark.parametrize(
    ('change', 'complaint'),
    [
        (dict(annotations=[box(0, [0, 0, 9, 9], category_id=8)]), r'\b1\b.*category.*\b8\b.*\b4\b'),
        (dict(annotations=[box(0, [0, 0, 9], category_id=7)]), r'bbox.*\b1\b.*\[0, 0, 9\]'),
        (dict(annotations=[]), r'\b\d+\b.*\bbox\b'),
        (dict(categories=[dict(id=1)]), r"category 1 .*'name'.*\{'id': 1\}"),
        (
            dict(annotations=[], categories=[dict(id=1, name='a'), dict(id=2, name='a')]),
            r"classes.*\['a'\]",
        ),
        (dict(categories=None), "'categories'"),
    ],
)
def test_broken_files_of_pairs_raise(tmp_path, pairs_json, change, complaint):
    with open(pairs_json) as file:
        content = {**json.load(file), **change}
    path = write_json(
        tmp_path / 'broken.json', **{k: v for k, v in content.items() if v is not None}
    )
    with pytest.raises(ValueError, match=complaint) as error:
        RegionTextPairs(path)
    assert 'broken.json' in str(error.value)


def test_category_that_is_not_a_noun_raises(pairs_json, tmp_path):
    (tmp_path / 'few.txt').write_text('cup\ndog\npen\n')
    with pytest.raises(ValueError, match=r"pairs\.json.*\b1\b.*\b4\b.*few.*\['tree'\]"):
        RegionTextPairs(pairs_json, vocabulary=str(tmp_path / 'few.txt'))


@pytest.fixture
def captioned(tmp_path):
    """Arguments of a dataset: image 0 has nouns, 1 no box, 2 no noun, 3 no caption."""
    root = tmp_path / 'root'
    images = write_images(root / 'img', [(60, 40)] * 4)
    write_json(
        root / 'proposals.json',
        images=images,
        annotations=[box(i, [4 * i, 2, 20, 16]) for i in (0, 2, 3)] + [box(0, [30, 20, 10, 10])],
    )
    said = [(0, 'Two trees.'), (1, 'a cup'), (2, 'a street'), (0, 'a dog under a tree')]
    write_json(
        root / 'captions.json',
        images=images[:3],
        annotations=[dict(id=i, image_id=key, caption=text) for i, (key, text) in enumerate(said)],
    )
    return dict(
        data_root=str(root),
        ann_file='proposals.json',
        caption_file='captions.json',
        data_prefix=dict(img='img'),
        test_mode=True,
    )


def test_proposals_with_the_nouns_of_their_captions(captioned, vocabulary):
    steps = [
        dict(type='LoadRGB'),
        dict(type='AnnotatedRegions'),
        dict(type='CropRegions', size=8),
        dict(type='ResizeLongest', size=120),
        dict(type='PackRegions'),
    ]
    data = DATASETS.build(
        dict(type='CaptionedRegions', vocabulary=vocabulary, pipeline=steps, **captioned)
    )
    assert len(data) == 1
    assert data.metainfo['classes'] == tuple(NOUNS)
    packed = data[0]
    sample = packed['data_samples']
    assert sample.noun_labels == [1, 3]
    assert sample.img_id == 0
    assert sample.regions.boxes_px.tolist() == [[0, 4, 40, 36], [60, 40, 80, 60]]
    assert packed['inputs']['crops'].shape == (2, 3, 8, 8)


def test_caption_file_in_another_folder(captioned, vocabulary, tmp_path):
    other = tmp_path / 'root' / 'captions.json'
    other = other.rename(tmp_path / 'said.json')
    data = CaptionedRegions(
        **{**captioned, 'caption_file': str(other)}, vocabulary=vocabulary, pipeline=[]
    )
    assert len(data) == 1
    with pytest.raises(FileNotFoundError, match=r'captions\.json'):
        CaptionedRegions(**captioned, vocabulary=vocabulary, pipeline=[])


def test_captions_without_a_noun_raise(captioned, tmp_path):
    (tmp_path / 'ships.txt').write_text('ship\n')
    with pytest.raises(ValueError, match=r'captions\.json.*proposals\.json.*\b1\b.*ships'):
        CaptionedRegions(**captioned, vocabulary=str(tmp_path / 'ships.txt'), pipeline=[])


@pytest.mark.slow
def test_max_nouns_is_a_fixed_choice(captioned, vocabulary):
    def labels(count):
        data = CaptionedRegions(**captioned, vocabulary=vocabulary, max_nouns=count, pipeline=[])
        return data.get_data_info(0)['noun_labels']

    assert labels(2) == labels(None) == [1, 3]
    assert labels(1) == labels(1)
    assert labels(1) in ([1], [3])
    with pytest.raises(ValueError, match=r'max_nouns.*\b0\b'):
        labels(0)
