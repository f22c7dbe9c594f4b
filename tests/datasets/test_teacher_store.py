"""The store on disk: what comes back, what a killed or foreign writer leaves, who is refused."""

import multiprocessing
import os
import pickle
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
from mmengine.registry import TRANSFORMS

from clipself_mm.datasets import (
    CropRegions,
    CropUnstoredRegions,
    StoreFacts,
    StoreView,
    StoreWriter,
)
from clipself_mm.datasets.transforms.crop_unstored_regions import crop_keys, crop_recipe

FACTS = StoreFacts(tower='a' * 32, precision='float32', crops='size 8', dim=3)


def entries(*numbers):
    """Keys and embeddings that follow from numbers."""
    numbers = np.array(numbers, np.uint64).reshape(-1, 1)
    return np.hstack([numbers * 7919, numbers + 1]), np.float32(numbers) * np.float32([1, 0.1, -3])


def view_of(folder, crops='size 8'):
    view = StoreView(folder, crops)
    view.refresh()
    return view


def holds(view, *numbers):
    """Which of the numbers are found; what is found must be right."""
    keys, embeddings = entries(*numbers)
    values, found = view.lookup(keys)
    assert values.dtype == np.float32
    assert values.tolist() == embeddings[found].tolist()
    return [int(number) for number in np.array(numbers)[found]]


def files_of(folder, ending):
    return sorted(folder.glob(f'*.{ending}'))


def test_what_was_added_comes_back_and_nothing_else(tmp_path):
    view = view_of(tmp_path)
    assert holds(view, 1, 2) == []
    writer = StoreWriter(tmp_path, FACTS)
    writer.add(*entries(5, 1, 9))
    assert holds(view, 1, 5) == []  # not before the next look
    view.refresh()
    assert holds(view, 9, 2, 1, 5) == [9, 1, 5]
    writer.add(*entries(2))
    view.refresh()
    assert holds(view, 9, 2, 1, 5) == [9, 2, 1, 5]
    assert len(view) == 4


def test_keys_that_share_a_half_are_told_apart(tmp_path):
    keys = np.array([[4, 1], [4, 2], [3, 1]], np.uint64)
    StoreWriter(tmp_path, FACTS).add(keys[:2], np.float32([[1, 1, 1], [2, 2, 2]]))
    values, found = view_of(tmp_path).lookup(keys[::-1])
    assert found.tolist() == [False, True, True]
    assert values[:, 0].tolist() == [2, 1]


@pytest.mark.parametrize('lost', ['rows', 'keys', 'both'])
def test_half_a_record_is_cut_and_the_rest_kept(tmp_path, lost):
    writer = StoreWriter(tmp_path, FACTS)
    writer.add(*entries(1, 2, 3))
    writer.close()
    (keys,), (rows,) = files_of(tmp_path, 'keys'), files_of(tmp_path, 'rows')
    assert (keys.stat().st_size, rows.stat().st_size) == (24 + 3 * 20, 3 * 12)
    if lost != 'keys':
        os.truncate(rows, 3 * 12 - 5)
    if lost != 'rows':
        os.truncate(keys, 24 + 3 * 20 - 1)
    assert holds(view_of(tmp_path), 1, 2, 3) == [1, 2]
    writer = StoreWriter(tmp_path, FACTS)
    writer.add(*entries(4))
    assert files_of(tmp_path, 'keys') == [keys]
    assert holds(view_of(tmp_path), 1, 2, 3, 4) == [1, 2, 4]


@pytest.mark.parametrize('size', [0, 10, 24])
def test_a_segment_killed_at_its_start_is_used_again(tmp_path, size):
    writer = StoreWriter(tmp_path, FACTS)
    writer.add(*entries(1))
    writer.close()
    (keys,) = files_of(tmp_path, 'keys')
    os.truncate(keys, size)
    assert holds(view_of(tmp_path), 1) == []
    StoreWriter(tmp_path, FACTS).add(*entries(2))
    assert holds(view_of(tmp_path), 1, 2) == [2]
    assert files_of(tmp_path, 'keys') == [keys]


def test_a_damaged_embedding_is_not_found_and_can_be_added_again(tmp_path):
    writer = StoreWriter(tmp_path, FACTS)
    writer.add(*entries(1, 2))
    (rows,) = files_of(tmp_path, 'rows')
    with rows.open('r+b') as file:
        file.write(b'\xff')
    assert holds(view_of(tmp_path), 1, 2) == [2]
    writer.add(*entries(1))
    assert holds(view_of(tmp_path), 1, 2) == [1, 2]


def test_two_writers_never_share_a_segment(tmp_path):
    first, second = (StoreWriter(tmp_path, FACTS) for _ in range(2))
    first.add(*entries(1))
    second.add(*entries(2))
    assert len(files_of(tmp_path, 'keys')) == 2
    first.close()
    third = StoreWriter(tmp_path, FACTS)
    third.add(*entries(3))
    assert len(files_of(tmp_path, 'keys')) == 2
    assert holds(view_of(tmp_path), 1, 2, 3) == [1, 2, 3]


@pytest.mark.parametrize(
    ('other', 'words'),
    [
        (dict(tower='b' * 32), 'another teacher'),
        (dict(precision='float16'), 'another precision of the teacher'),
        (dict(crops='size 9'), 'another kind of crops'),
        (dict(dim=4), 'another width'),
        (dict(dtype='float16'), 'another number format'),
    ],
)
def test_another_store_is_refused_by_name(tmp_path, other, words):
    StoreWriter(tmp_path, FACTS).add(*entries(1))
    with pytest.raises(ValueError, match=f'the teacher store {tmp_path} has {words}') as caught:
        StoreWriter(tmp_path, replace(FACTS, **other))
    assert str(caught.value).count('\n') == 0
    assert holds(view_of(tmp_path), 1) == [1]


def test_a_view_refuses_other_crops_and_other_files(tmp_path):
    StoreWriter(tmp_path, FACTS).add(*entries(1))
    with pytest.raises(ValueError, match=f'{tmp_path} has another kind of crops, size 8'):
        view_of(tmp_path, 'size 9')
    (keys,) = files_of(tmp_path, 'keys')
    with keys.open('r+b') as file:
        file.seek(8)
        file.write(bytes(16))
    with pytest.raises(ValueError, match=f'{keys} is not a segment of'):
        view_of(tmp_path)
    for content in ('{', '{"format": 2}', '{"format": 1, "size": 3}'):
        (tmp_path / 'store.json').write_text(content)
        with pytest.raises(ValueError, match=f'{tmp_path}/store.json'):
            view_of(tmp_path)


def test_a_full_store_stays_as_it_is(tmp_path):
    # A record takes 20 + 12 bytes, a segment 24 more.
    writer = StoreWriter(tmp_path, FACTS, max_bytes=24 + 2 * 32)
    assert writer.add(*entries(1))
    assert writer.add(*entries(2, 3))  # the last batch may go beyond
    assert not writer.add(*entries(4))
    assert holds(view_of(tmp_path), 1, 2, 3, 4) == [1, 2, 3]


def test_half_precision_rounds_to_nearest(tmp_path):
    keys, _ = entries(1)
    values = np.float32([[1 / 3, 1e-3, -7.7]])
    StoreWriter(tmp_path, replace(FACTS, dtype='float16')).add(keys, values)
    stored, _ = view_of(tmp_path).lookup(keys)
    assert np.array_equal(stored, values.astype(np.float16).astype(np.float32))
    assert not np.array_equal(stored, values)


def test_shapes_that_do_not_fit_are_refused(tmp_path):
    keys, embeddings = entries(1, 2)
    writer = StoreWriter(tmp_path, FACTS)
    for wrong in ((keys[:1], embeddings), (keys, embeddings[:, :2])):
        with pytest.raises(ValueError, match=r'embeddings \(R, 3\)'):
            writer.add(*wrong)
    assert files_of(tmp_path, 'keys') == []


def test_a_view_travels_without_its_index(tmp_path):
    StoreWriter(tmp_path, FACTS).add(*entries(*range(1000)))
    content = pickle.dumps(view_of(tmp_path))
    assert len(content) < 1000
    view = pickle.loads(content)
    view.refresh()
    assert holds(view, 3) == [3]


def write_many(folder, start, count):
    """Add entries start .. start + count in batches of 3, each batch a moment apart."""
    writer = StoreWriter(folder, FACTS)
    for number in range(start, start + count, 3):
        writer.add(*entries(number, number + 1, number + 2))
        time.sleep(0.001)


def test_processes_write_at_once_and_one_is_killed(tmp_path):
    context = multiprocessing.get_context('fork')
    starts = (0, 10_000)
    finisher, victim = (
        context.Process(target=write_many, args=(tmp_path, start, count), daemon=True)
        for start, count in zip(starts, (300, 10**7), strict=True)
    )
    finisher.start()
    victim.start()
    view = StoreView(tmp_path)
    deadline = time.monotonic() + 120
    while len(holds(view, *range(10_000, 10_030))) < 30:
        assert time.monotonic() < deadline
        time.sleep(0.01)
        view.refresh()
    os.kill(victim.pid, signal.SIGKILL)
    victim.join()
    finisher.join()
    assert finisher.exitcode == 0
    view.refresh()
    assert holds(view, *range(300)) == list(range(300))
    written = len(view) - 300
    assert written >= 30
    assert holds(view, *range(10_000, 10_000 + written)) == list(range(10_000, 10_000 + written))
    assert len(files_of(tmp_path, 'keys')) == 2


# The step of the pipeline.

PHOTO = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
BOXES = np.array([[0, 0, 8, 5], [2.4, 3, 20, 15], [5, 5, 30, 20.0]])


def test_a_key_is_the_pixels_and_the_corners_that_are_cut():
    keys = crop_keys(PHOTO, BOXES)
    assert len({tuple(key) for key in keys.tolist()}) == 3
    assert np.array_equal(crop_keys(PHOTO.copy(), BOXES + np.array([0.05, -0.2, 0.4, 0.1])), keys)
    moved = crop_keys(PHOTO, BOXES - np.array([0, 0, 0, 1]))
    assert not (moved == keys).all(1).any()
    other = PHOTO.copy()
    other[19, 0, 2] ^= 1
    assert not (crop_keys(other, BOXES) == keys).all(1).any()
    assert not (crop_keys(PHOTO.reshape(30, 20, 3), BOXES[:1]) == keys[:1]).all(1).any()
    assert crop_keys(PHOTO, BOXES[:0]).shape == (0, 2)


def test_only_what_is_not_stored_is_cut(tmp_path):
    sample = dict(img=PHOTO, crop_boxes_src=BOXES)
    whole = CropRegions(size=8)(dict(sample))['crops']
    step = TRANSFORMS.build(dict(type='CropUnstoredRegions', folder=str(tmp_path), size=8))
    first = step(dict(sample, draw=(0, 0, 5)))
    assert np.array_equal(first['crops'], whole)
    answer = first['stored_targets']
    assert (answer.found.tolist(), answer.facts, len(answer.embeddings)) == ([False] * 3, None, 0)

    facts = replace(FACTS, crops=answer.crops)
    values = np.float32([[1, 2, 3], [4, 5, 6]])
    StoreWriter(tmp_path, facts).add(answer.new_keys[[2, 0]], values)
    same_epoch = step(dict(sample, draw=(0, 0, 5)))
    assert len(same_epoch['crops']) == 3
    next_epoch = step(dict(sample, draw=(0, 1, 5)))
    assert np.array_equal(next_epoch['crops'], whole[1:2])
    found = next_epoch['stored_targets']
    assert found.found.tolist() == [True, False, True]
    assert found.embeddings.tolist() == [[4, 5, 6], [1, 2, 3]]
    assert np.array_equal(found.new_keys, answer.new_keys[1:2])
    assert found.facts == facts
    assert next_epoch['crop_boxes_src'] is BOXES


def test_the_recipe_has_the_arguments_that_were_not_given():
    plain = crop_recipe(dict(type='CropRegions', size=8))
    assert plain == crop_recipe(dict(type='CropRegions', mask_value=None, size=8))
    assert plain != crop_recipe(dict(type='CropRegions', size=9))


def test_crops_of_segments_are_refused(tmp_path):
    with pytest.raises(ValueError, match='mask_value'):
        CropUnstoredRegions(str(tmp_path), size=8, mask_value=114)
