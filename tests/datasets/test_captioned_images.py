"""Choice of one caption per seeded index."""

import numpy as np
import pytest

from clipself_mm.datasets import CaptionedImages, ChooseCaption, SeededIndex
from tests.datasets.coco_files import write_images, write_json

PIPELINE = [
    dict(type='LoadRGB'),
    dict(type='ChooseCaption'),
    dict(type='ResizeLongest', size=16),
    dict(type='PackRegions'),
]


def said(number, image_id, text):
    return dict(id=number, image_id=image_id, caption=text)


@pytest.fixture
def folder(tmp_path):
    """Three images; the second has no caption."""
    images = write_images(tmp_path / 'img', [(8, 4), (8, 8), (4, 8)])
    captions = [said(1, 2, 'tall'), *(said(5 - n, 0, f'wide {n}') for n in range(4))]
    write_json(tmp_path / 'captions.json', images=images, annotations=captions)
    return tmp_path


def dataset_of(folder, **options):
    prefix = dict(img='img')
    return CaptionedImages('captions.json', data_root=str(folder), data_prefix=prefix, **options)


def test_images_without_a_caption_are_left_out(folder):
    dataset = dataset_of(folder)
    assert [dataset.get_data_info(i)['img_id'] for i in range(len(dataset))] == [0, 2]
    assert dataset.get_data_info(0)['captions'] == ['wide 0', 'wide 1', 'wide 2', 'wide 3']
    assert dataset.get_data_info(0)['boxes_src'].shape == (0, 4)


def test_sample_has_a_caption_and_no_region(folder):
    sample = dataset_of(folder, pipeline=PIPELINE)[SeededIndex(1)]
    assert sample['data_samples'].caption == 'tall'
    assert len(sample['data_samples'].regions) == 0
    assert tuple(sample['inputs']['image'].shape) == (3, 16, 8)
    assert 'crops' not in sample['inputs']


def test_caption_changes_per_epoch_and_is_the_same_after_resume(folder):
    dataset = dataset_of(folder, pipeline=PIPELINE)

    def chosen(seed):
        indices = (SeededIndex(0, seed, epoch) for epoch in range(60))
        return [dataset[index]['data_samples'].caption for index in indices]

    first = chosen(0)
    assert first == chosen(0)
    assert first != chosen(1)
    counts = np.unique(first, return_counts=True)
    assert counts[0].tolist() == ['wide 0', 'wide 1', 'wide 2', 'wide 3']
    assert counts[1].min() >= 5  # 15 of each are expected


def test_a_single_caption_is_always_chosen():
    for epoch in range(5):
        assert ChooseCaption()(dict(captions=['only'], rng_key=(0, epoch, 0)))['caption'] == 'only'


def test_a_file_without_captions_raises(tmp_path):
    images = write_images(tmp_path / 'img', [(8, 4)])
    write_json(tmp_path / 'captions.json', images=images, annotations=[])
    with pytest.raises(ValueError, match=r"captions\.json.*'caption'"):
        dataset_of(tmp_path)
