import inspect
import itertools

import pytest
from mmengine.dataset import DefaultSampler, InfiniteSampler, pseudo_collate
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import DataLoader

from clipself_mm.datasets import ImageRegions, InfiniteSeededSampler, SeededSampler
from tests.datasets.coco_files import training_pipeline, write_images, write_json

DATA = list(range(5))


def test_epoch_sampler_keeps_the_order_and_adds_the_epoch():
    ours, theirs = SeededSampler(DATA, seed=3), DefaultSampler(DATA, seed=3)
    for epoch in (0, 1, 4):
        ours.set_epoch(epoch)
        theirs.set_epoch(epoch)
        indices = list(ours)
        assert [int(index) for index in indices] == list(theirs)
        assert {index.key for index in indices} == {(3, epoch, index) for index in DATA}


def test_infinite_sampler_keeps_the_order_and_counts_the_passes():
    ours = list(itertools.islice(InfiniteSeededSampler(DATA, seed=3), 15))
    assert [int(d) for d in ours] == list(itertools.islice(InfiniteSampler(DATA, seed=3), 15))
    assert [index.number for index in ours] == [0] * 5 + [1] * 5 + [2] * 5
    for number in range(3):
        assert sorted(ours[5 * number : 5 * number + 5]) == DATA


@pytest.mark.parametrize('world_size', [1, 2, 3])
def test_processes_share_one_stream(monkeypatch, world_size):
    single = list(itertools.islice(InfiniteSeededSampler(DATA, seed=1), 12))
    for rank in range(world_size):
        for module in ('mmengine.dataset.sampler',):
            monkeypatch.setattr(f'{module}.get_dist_info', lambda rank=rank: (rank, world_size))
        part = list(itertools.islice(InfiniteSeededSampler(DATA, seed=1), 12 // world_size))
        assert [index.key for index in part] == [index.key for index in single[rank::world_size]]


@pytest.mark.parametrize('consumed', [0, 3, 5, 11])
def test_dropped_indices_continue_the_stream(consumed):
    unbroken = list(itertools.islice(InfiniteSeededSampler(DATA, seed=2), 20))
    resumed = iter(InfiniteSeededSampler(DATA, seed=2))
    for _ in range(consumed):
        next(resumed)
    keys = [index.key for index in itertools.islice(resumed, 20 - consumed)]
    assert keys == [index.key for index in unbroken[consumed:]]


@pytest.mark.parametrize('consumed', [0, 3, 5, 11])
def test_fast_forward_equals_dropping(consumed):
    """Newer MMEngine has `skip` in the parent; older MMEngine drops indices (see above)."""
    unbroken = list(itertools.islice(InfiniteSeededSampler(DATA, seed=2), 20))
    sampler = InfiniteSeededSampler(DATA, seed=2)
    assert hasattr(sampler, 'skip') == hasattr(InfiniteSampler, 'skip')
    if hasattr(sampler, 'skip'):
        assert list(inspect.signature(sampler.skip).parameters) == ['num_samples']
        sampler.skip(consumed)
    else:
        sampler.indices = itertools.islice(sampler.indices, consumed, None)
    keys = [index.key for index in itertools.islice(sampler, 20 - consumed)]
    assert keys == [index.key for index in unbroken[consumed:]]


def test_registered_in_the_root_registry():
    sampler = DATA_SAMPLERS.build(
        dict(type='InfiniteSeededSampler', shuffle=False), default_args=dict(dataset=DATA, seed=4)
    )
    assert [index.key for index in itertools.islice(sampler, 6)][-2:] == [(4, 0, 4), (4, 1, 0)]


@pytest.fixture
def dataset(tmp_path):
    images = write_images(tmp_path, [(30, 20), (20, 30), (25, 25)])
    return ImageRegions(
        ann_file=write_json(tmp_path / 'a.json', images=images),
        data_prefix=dict(img=str(tmp_path)),
        pipeline=training_pipeline(dict(type='GridRegions')),
    )


def epochs(dataset, number, start=0, **options):
    """Return, per epoch and batch, the indices, boxes and crops the dataloader gives."""
    sampler = SeededSampler(dataset, seed=5)
    loader = DataLoader(
        dataset, batch_size=2, sampler=sampler, collate_fn=pseudo_collate, **options
    )
    seen = []
    for epoch in range(start, number):
        sampler.set_epoch(epoch)
        seen.append(
            [
                [
                    (s.rng_key, s.regions.boxes_px.tolist(), int(crops.sum()))
                    for s, crops in zip(b['data_samples'], b['inputs']['crops'], strict=True)
                ]
                for b in loader
            ]
        )
    return seen


def test_batches_do_not_depend_on_workers_or_on_where_the_run_started(dataset):
    alone = epochs(dataset, 2)
    assert epochs(dataset, 2, num_workers=2) == alone
    assert epochs(dataset, 2, num_workers=2, persistent_workers=True) == alone
    assert epochs(dataset, 2, start=1, num_workers=2) == alone[1:]


def test_an_image_gets_new_regions_in_the_next_epoch(dataset):
    first, second = ({s[0][2]: s[1] for b in e for s in b} for e in epochs(dataset, 2))
    assert first.keys() == second.keys() == {0, 1, 2}
    assert first != second
