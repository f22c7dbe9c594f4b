import copy
import pickle

import pytest
from mmengine.dataset import ConcatDataset, RepeatDataset

from clipself_mm.datasets import ImageRegions, SeededIndex
from clipself_mm.datasets.seeded_index import rng_from_key
from tests.datasets.coco_files import write_images, write_json


def identity(results):
    return results


@pytest.mark.parametrize(
    'clone', [copy.copy, copy.deepcopy, lambda d: pickle.loads(pickle.dumps(d))]
)
def test_copies_keep_the_key(clone):
    index = SeededIndex(7, seed=3, number=2) - 5
    cloned = clone(index)
    assert isinstance(cloned, SeededIndex)
    assert (int(cloned), cloned.key) == (2, (3, 2, 7))


def test_is_an_index():
    assert ['a', 'b', 'c'][SeededIndex(1, 9, 9)] == 'b'
    assert SeededIndex(4) == 4
    assert {SeededIndex(4): 'x'}[4] == 'x'


def test_plain_index_has_seed_0_and_number_0():
    assert SeededIndex.of(5).key == (0, 0, 5)
    index = SeededIndex(5, 1, 2)
    assert SeededIndex.of(index) is index


def test_each_part_of_the_key_changes_the_choices():
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    values = {tuple(rng_from_key(key).integers(2**60, size=2)) for key in keys}
    assert len(values) == len(keys)
    assert rng_from_key((1, 2, 3)).random() == rng_from_key((1, 2, 3)).random()


@pytest.fixture
def pair(tmp_path):
    entries = write_images(tmp_path, [(4, 4)] * 3)
    ann_file = write_json(tmp_path / 'a.json', images=entries)
    return [
        ImageRegions(ann_file, data_prefix=dict(img=str(tmp_path)), pipeline=[identity])
        for _ in range(2)
    ]


def test_concat_dataset_keeps_the_key(pair):
    results = ConcatDataset(pair)[SeededIndex(4, seed=8, number=6)]
    assert results['sample_idx'] == 1
    assert results['rng_key'] == (8, 6, 4)


def test_repeated_images_have_different_keys(pair):
    repeated = RepeatDataset(pair[0], times=2)
    first, second = repeated[SeededIndex(1, 8, 6)], repeated[SeededIndex(4, 8, 6)]
    assert first['img_id'] == second['img_id'] == 1
    assert (first['rng_key'], second['rng_key']) == ((8, 6, 1), (8, 6, 4))
