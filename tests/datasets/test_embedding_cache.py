"""The cache on disk: reading, writing, killed processes and damaged files."""

import json
import multiprocessing
import os
import pickle
import signal
import sys
import time
from dataclasses import asdict, replace

import numpy as np
import pytest
from mmengine.registry import TRANSFORMS

from clipself_mm.datasets import CacheMetadata, CropRegions, CropUncachedRegions, EmbeddingCache
from clipself_mm.datasets.embedding_cache import _environment
from clipself_mm.datasets.transforms.crop_uncached_regions import crop_keys, crop_recipe

lmdb = pytest.importorskip('lmdb', reason='the extra cache is not installed')

METADATA = CacheMetadata(teacher='a' * 32, precision='float32', crops='size 8', dim=3)


def entries(*numbers):
    """Keys and embeddings made from numbers."""
    embeddings = np.float32(numbers).reshape(-1, 1) * np.float32([1, 0.1, -3])
    return [number.to_bytes(16, 'little') for number in numbers], embeddings


def claimed(folder, **changes):
    cache = EmbeddingCache(folder)
    cache.claim(replace(METADATA, **changes))
    return cache


def holds(cache, *numbers):
    """Which of the numbers are found; their embeddings must be right."""
    keys, embeddings = entries(*numbers)
    values, found = cache.get(keys)
    assert values.dtype == np.float32
    assert values.tolist() == embeddings[found].tolist()
    return [int(number) for number in np.array(numbers)[found]]


def forked(function, *arguments):
    """Call a function in a new process: the file is checked only when it is opened."""
    process = multiprocessing.get_context('fork').Process(target=function, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0


def test_get_finds_what_was_put_only(tmp_path):
    assert holds(EmbeddingCache(tmp_path / 'none'), 1, 2) == []
    assert not (tmp_path / 'none').exists()
    cache = claimed(tmp_path)
    assert holds(cache, 1, 5) == []
    cache.put(*entries(5, 1, 9))
    other = EmbeddingCache(tmp_path)
    assert holds(other, 9, 2, 1, 5) == [9, 1, 5]
    cache.put(*entries(2))
    assert holds(other, 9, 2, 1, 5) == [9, 2, 1, 5]
    values, found = cache.get([])
    assert (values.shape, found.shape) == ((0, 3), (0,))


def test_the_first_embedding_of_a_key_stays(tmp_path):
    cache = claimed(tmp_path)
    cache.put(*entries(1))
    cache.put(entries(1)[0], np.float32([[7, 7, 7]]))
    assert holds(cache, 1) == [1]


@pytest.mark.parametrize(
    'other',
    [
        dict(teacher='b' * 32),
        dict(precision='float16'),
        dict(crops='size 9'),
        dict(dim=4),
        dict(dtype='float16'),
    ],
)
def test_different_metadata_raise(tmp_path, other):
    cache = claimed(tmp_path)
    cache.put(*entries(1))
    ((name, value),) = other.items()
    wanted = rf'{tmp_path}.*\b{name}\b.*{getattr(METADATA, name)!r}.*{value!r}'
    with pytest.raises(ValueError, match=wanted):
        claimed(tmp_path, **other)
    assert holds(cache, 1) == [1]


def write_foreign(folder, key, value):
    environment = lmdb.open(str(folder))
    with environment.begin(write=True) as transaction:
        transaction.put(key, value)
    environment.close()


@pytest.mark.parametrize(
    'content',
    [
        dict(image=b'jpg'),
        dict(metadata=b'{'),
        dict(metadata=b'[]'),
        dict(metadata=b'{"size": 3}'),
        dict(metadata=json.dumps(asdict(METADATA) | dict(format=2)).encode()),
    ],
)
def test_lmdb_file_that_is_not_a_cache_raises(tmp_path, content):
    ((key, value),) = content.items()
    write_foreign(tmp_path, key.encode(), value)
    cache = EmbeddingCache(tmp_path)
    for use in (lambda: cache.claim(METADATA), lambda: cache.get([b'1'])):
        with pytest.raises(OSError, match=rf'{tmp_path}/data\.mdb.*\b1\b'):
            use()


@pytest.mark.parametrize('size', [1, 4096, 5000, 8192, -4096])
def test_truncated_file_raises(tmp_path, size):
    """Reading past the end of a mapped file would kill the process."""
    forked(write_many, tmp_path, 1, 300)
    path = tmp_path / 'data.mdb'
    whole = path.stat().st_size
    os.truncate(path, size if size > 0 else whole + size)
    assert 0 < path.stat().st_size < whole
    forked(expect_refusal, tmp_path)


def expect_refusal(folder):
    with pytest.raises(OSError, match=f'{folder}'):
        holds(EmbeddingCache(folder), *range(1, 301))


def test_file_that_is_not_lmdb_raises(tmp_path):
    (tmp_path / 'data.mdb').write_bytes(b'CLIPTGT1' * 2000)
    with pytest.raises(OSError, match=f'{tmp_path}.*MDB_INVALID'):
        EmbeddingCache(tmp_path).get([b'1'])


def test_damaged_embedding_raises(tmp_path):
    forked(write_many, tmp_path, 1, 3)
    path = tmp_path / 'data.mdb'
    content = path.read_bytes()
    row = entries(2)[1].tobytes()
    assert content.count(row) >= 1
    path.write_bytes(content.replace(row, row[:-1] + b'\x00'))
    cache = EmbeddingCache(tmp_path)
    assert holds(cache, 1, 3) == [1, 3]
    with pytest.raises(OSError, match=f'{path}'):
        holds(cache, 2)


def test_full_disk_raises(tmp_path, monkeypatch):
    monkeypatch.setattr('clipself_mm.datasets.embedding_cache.MAP_SIZE', 2**16)
    cache = claimed(tmp_path)
    cache.put(*entries(1))
    with pytest.raises(OSError, match=f'{tmp_path}.*MDB_MAP_FULL'):
        cache.put(*entries(*range(2, 5000)))
    assert holds(cache, *range(1, 5000)) == [1]


def test_missing_library_raises(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'lmdb', None)
    with pytest.raises(ImportError, match=r'clipself_mm\[cache\]'):
        EmbeddingCache(tmp_path).claim(METADATA)


def test_half_precision_rounds_to_nearest(tmp_path):
    keys, _ = entries(1)
    values = np.float32([[1 / 3, 1e-3, -7.7]])
    cache = claimed(tmp_path, dtype='float16')
    cache.put(keys, values)
    cached, _ = cache.get(keys)
    assert np.array_equal(cached, values.astype(np.float16).astype(np.float32))
    assert not np.array_equal(cached, values)


def test_wrong_shapes_raise(tmp_path):
    keys, embeddings = entries(1, 2)
    cache = claimed(tmp_path)
    for wrong in ((keys[:1], embeddings), (keys, embeddings[:, :2])):
        with pytest.raises(ValueError, match=rf'\b{len(wrong[0])} x 3\b.*\b{wrong[1].shape[1]}\b'):
            cache.put(*wrong)
    assert holds(cache, 1, 2) == []


def test_open_cache_can_be_pickled_and_forked(tmp_path):
    cache = claimed(tmp_path)
    cache.put(*entries(*range(1, 1000)))
    content = pickle.dumps(cache)
    assert len(content) < 1000
    assert holds(pickle.loads(content), 3) == [3]
    with multiprocessing.get_context('fork').Pool(2) as pool:
        assert pool.starmap(holds, [(cache, 5), (cache, 6)]) == [[5], [6]]
        pool.apply(cache.put, entries(1000))
    assert holds(cache, 7, 1000) == [7, 1000]
    forked(expect_reader_of_its_own, cache)


def expect_reader_of_its_own(cache):
    """LMDB must register each reading process, or it may reuse pages that are being read."""
    assert holds(cache, 8) == [8]
    with cache._transaction():
        assert str(os.getpid()) in _environment(cache.folder).readers().split()


# Several processes.


def write_many(folder, start, count):
    """Add entries start .. start + count in batches of 3; report each written batch."""
    cache = claimed(folder)
    for number in range(start, start + count, 3):
        cache.put(*entries(number, number + 1, number + 2))
        (folder / f'{start}.txt').write_text(str(number + 2))


@pytest.mark.slow
def test_killed_process_loses_and_damages_nothing(tmp_path):
    """One process writes all its entries while others write and are killed at random times."""
    context = multiprocessing.get_context('fork')
    rng = np.random.default_rng(0)
    finisher = context.Process(target=write_many, args=(tmp_path, 1, 600))
    finisher.start()
    starts = [10**6 * (n + 1) for n in range(12)]
    for start in starts:
        victim = context.Process(target=write_many, args=(tmp_path, start, 10**6))
        victim.start()
        deadline = time.monotonic() + 120
        while not (tmp_path / f'{start}.txt').exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.1))
        os.kill(victim.pid, signal.SIGKILL)
        victim.join()
    finisher.join()
    assert finisher.exitcode == 0
    cache = claimed(tmp_path)
    assert holds(cache, *range(1, 601)) == list(range(1, 601))
    for start in starts:
        said = int((tmp_path / f'{start}.txt').read_text() or start + 2)
        there = holds(cache, *range(start, said + 7))
        assert len(there) >= said - start + 1
        assert len(there) % 3 == 0  # no batch in part
    cache.put(*entries(10**8))
    assert holds(cache, 10**8) == [10**8]


# The step of the pipeline.

PHOTO = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
BOXES = np.array([[0, 0, 8, 5], [2.4, 3, 20, 15], [5, 5, 30, 20.0]])


def test_crop_key_depends_on_pixels_and_corners():
    keys = crop_keys(PHOTO, BOXES)
    assert len(set(keys)) == 3
    assert {len(key) for key in keys} == {16}
    assert crop_keys(PHOTO.copy(), BOXES + np.array([0.05, -0.2, 0.4, 0.1])) == keys
    assert not set(crop_keys(PHOTO, BOXES - np.array([0, 0, 0, 1]))) & set(keys)
    other = PHOTO.copy()
    other[19, 0, 2] ^= 1
    assert not set(crop_keys(other, BOXES)) & set(keys)
    assert crop_keys(PHOTO.reshape(30, 20, 3), BOXES[:1]) != keys[:1]
    assert crop_keys(PHOTO, BOXES[:0]) == []


def test_only_uncached_regions_are_cropped(tmp_path):
    sample = dict(img=PHOTO, crop_boxes_src=BOXES)
    whole = CropRegions(size=8)(dict(sample))['crops']
    step = TRANSFORMS.build(dict(type='CropUncachedRegions', folder=str(tmp_path), size=8))
    first = step(dict(sample))
    assert np.array_equal(first['crops'], whole)
    part = first['cached_targets']
    assert (part.found.tolist(), len(part.embeddings)) == ([False] * 3, 0)

    values = np.float32([[1, 2, 3], [4, 5, 6]])
    claimed(tmp_path, crops=part.crops).put([part.missing_keys[n] for n in (2, 0)], values)
    second = step(dict(sample))
    assert np.array_equal(second['crops'], whole[1:2])
    found = second['cached_targets']
    assert found.found.tolist() == [True, False, True]
    assert found.embeddings.tolist() == [[4, 5, 6], [1, 2, 3]]
    assert found.missing_keys == part.missing_keys[1:2]
    assert second['crop_boxes_src'] is BOXES


def test_crop_recipe_has_the_default_arguments():
    plain = crop_recipe(dict(type='CropRegions', size=8))
    assert plain == crop_recipe(dict(type='CropRegions', mask_value=None, size=8))
    assert plain != crop_recipe(dict(type='CropRegions', size=9))


def test_masked_crops_raise(tmp_path):
    with pytest.raises(ValueError, match='mask_value'):
        CropUncachedRegions(str(tmp_path), size=8, mask_value=114)
