"""Training with a teacher cache: same numbers, no teacher forward, checks of the cache."""

import contextlib
import json
import runpy

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import MODELS
from mmengine.runner import Runner

from clipself_mm.datasets import EmbeddingCache
from clipself_mm.distillers import CLIPSelf
from clipself_mm.distillers.teacher_cache import tower_digest
from tests.commands import ROOT, call_on_two
from tests.datasets.coco_files import photo, training_pipeline
from tests.waiting import NoBlockingCopy

lmdb = pytest.importorskip('lmdb', reason='the extra cache is not installed')

FILL = ROOT / 'tools/fill_teacher_cache.py'
fill_teacher_cache = runpy.run_path(str(FILL))['fill_teacher_cache']
BOXES = np.array([[1, 2, 20, 25], [10, 3, 30, 30], [0, 0, 40, 30], [5, 5, 16, 9.0]])


def make_model(micro_clip, folder=None, sizes=None, **cache):
    torch.manual_seed(0)
    return CLIPSelf(
        tower=dict(type='CLIPTower', model=micro_clip),
        data_preprocessor=dict(type='RegionPreprocessor', image_size=64, student_sizes=sizes),
        teacher_cache=None if folder is None else dict(folder=str(folder), **cache),
    ).train()


@pytest.fixture
def batches(tmp_path):
    """A function that returns an epoch: two batches of two images, always the same regions."""
    paths = [str(tmp_path / f'{number}.png') for number in range(4)]
    for number, path in enumerate(paths):
        photo(48, 40, number).save(path)

    def epoch(folder=None, number=0, size=32):
        steps = training_pipeline(dict(type='ProposalRegions', min_size=0), size, 64)
        if folder is not None:
            steps[2] = dict(type='CropUncachedRegions', folder=str(folder), size=size)
        pipeline = Compose(steps)
        for first in (0, 2):
            samples = [
                dict(img_path=paths[n], rng_key=(0, number, n), boxes_xywh=BOXES[: 4 - n])
                for n in (first, first + 1)
            ]
            yield pseudo_collate([pipeline(sample) for sample in samples])

    return epoch


def train(model, epochs, context=contextlib.nullcontext):
    """Losses and numbers of crops per step."""
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    losses, crops = [], []
    for batches in epochs:
        for batch in batches:
            data = model.data_preprocessor(batch, training=True)
            with context():
                loss = model(**data, mode='loss')['loss_cosine']
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            crops.append(len(data['inputs']['crops']))
    return losses, crops


def contents(folder):
    """Content of a cache on disk: metadata, and values by key."""
    environment = EmbeddingCache(folder)
    with environment._transaction() as transaction:
        values = dict(transaction.cursor())
    return json.loads(values.pop(b'metadata')), values


def silence(teacher):
    """A teacher that raises if it is used."""

    def refuse(_):
        raise AssertionError('the teacher was asked')

    teacher.encode_image = refuse


@pytest.mark.parametrize('mixed', [False, True])
def test_training_is_the_same_bit_for_bit(micro_clip, batches, tmp_path, mixed):
    def context():
        return torch.autocast('cpu', torch.bfloat16, enabled=mixed)

    folder = tmp_path / 'cache'
    plain, cached = make_model(micro_clip), make_model(micro_clip, folder)
    wanted, every_crop = train(plain, [batches() for _ in range(3)], context)
    filling, first_crops = train(cached, [batches(folder)], context)
    silence(cached.teacher)
    repeating, later_crops = train(cached, [batches(folder) for _ in range(2)], context)
    assert filling + repeating == wanted
    assert first_crops == every_crop[:2] == [7, 3]
    assert later_crops == [0, 0, 0, 0]
    weights = plain.student.state_dict()
    assert all(value.equal(weights[key]) for key, value in cached.student.state_dict().items())

    metadata, values = contents(folder)
    assert metadata['precision'] == ('bfloat16' if mixed else 'float32')
    assert len(values) == 10


def test_several_student_sizes_share_the_targets(micro_clip, batches, tmp_path):
    folder, sizes = tmp_path / 'cache', (32, 48)
    wanted, _ = train(make_model(micro_clip, sizes=sizes), [batches() for _ in range(2)])
    model = make_model(micro_clip, folder, sizes)
    losses, crops = train(model, [batches(folder), batches(folder)])
    assert losses == wanted
    assert crops == [7, 3, 0, 0]


def test_cached_and_new_targets_stand_in_the_order_of_the_regions(micro_clip, batches, tmp_path):
    folder = tmp_path / 'cache'
    model = make_model(micro_clip, folder)
    plain = model.data_preprocessor(next(batches()))
    wanted = model.encode_crops(plain['inputs']['crops'])
    data = model.data_preprocessor(next(batches(folder)))
    parts = [sample.cached_targets for sample in data['data_samples']]
    keys = [key for part in parts for key in part.missing_keys]
    half = [1, 2, 5]
    model.teacher_cache._cached(data['data_samples'][0], model.teacher, torch.device('cpu'))
    model.teacher_cache.cache.put([keys[n] for n in half], wanted[half].numpy())
    data = model.data_preprocessor(next(batches(folder)))
    assert len(data['inputs']['crops']) == 4
    torch.testing.assert_close(
        model.targets(data['inputs']['crops'], data['data_samples']), wanted, rtol=1e-5, atol=1e-6
    )


def test_cached_targets_are_put_in_order_without_a_wait(micro_clip, batches, tmp_path):
    """On the meta device, which stands for a GPU."""
    model = make_model(micro_clip, tmp_path)
    for _ in range(2):
        data = model.data_preprocessor(next(batches(tmp_path)))
        wanted = model.targets(data['inputs']['crops'], data['data_samples'])
    crops = data['inputs']['crops'].to('meta')
    samples = [sample.to('meta') for sample in data['data_samples']]

    def encode(crops):
        assert not len(crops)
        return crops.new_empty(0, wanted.shape[1])

    with NoBlockingCopy():
        found = model.teacher_cache.targets(model.teacher, encode, crops, samples)
        with pytest.raises(AssertionError, match='it waits'):
            torch.zeros(2).to('meta')
    assert (found.shape, found.device.type) == (wanted.shape, 'meta')


def test_an_embedding_hardly_depends_on_its_batch(micro_clip, batches):
    model = make_model(micro_clip)
    crops = model.data_preprocessor(next(batches()))['inputs']['crops']
    together = model.encode_crops(crops).double()
    alone = torch.cat([model.encode_crops(crop[None]) for crop in crops]).double()
    cosine = torch.nn.functional.cosine_similarity(together, alone)
    assert (1 - cosine).abs().max() < 1e-11


def test_half_precision_is_an_option(micro_clip, batches, tmp_path):
    folder = tmp_path / 'cache'
    model = make_model(micro_clip, folder, dtype='float16')
    exact = model.encode_crops(model.data_preprocessor(next(batches()))['inputs']['crops'])
    for _ in range(2):
        data = model.data_preprocessor(next(batches(folder)))
        targets = model.targets(data['inputs']['crops'], data['data_samples'])
    assert targets.equal(exact.half().float())


def test_a_batch_without_regions(micro_clip, batches, tmp_path):
    model = make_model(micro_clip, tmp_path / 'cache')
    steps = training_pipeline(dict(type='ProposalRegions', min_size=90, fallback=False), 32, 64)
    steps[2] = dict(type='CropUncachedRegions', folder=str(tmp_path / 'cache'), size=32)
    next(batches())
    sample = dict(img_path=str(tmp_path / '0.png'), rng_key=(0, 0, 0), boxes_xywh=BOXES)
    losses, crops = train(model, [[pseudo_collate([Compose(steps)(sample)])]])
    assert (losses, crops) == ([0], [0])


def test_the_digest_depends_on_the_last_bit_of_a_weight(micro_clip):
    model = make_model(micro_clip)
    digest = tower_digest(model.teacher)
    assert digest == tower_digest(model.student)
    weight = model.teacher.blocks[1].ln_1.bias
    weight.data[3] = torch.nextafter(weight.data[3], torch.tensor(9.0))
    assert tower_digest(model.teacher) != digest


def test_a_cache_that_does_not_fit_raises(micro_clip, batches, tmp_path):
    folder = tmp_path / 'cache'
    train(make_model(micro_clip, folder), [batches(folder)])
    before = contents(folder)
    other = make_model(micro_clip, folder)
    other.teacher.blocks[0].ln_1.bias.data += 1e-3
    with pytest.raises(ValueError, match=rf'{folder}.*\bteacher\b'):
        train(other, [batches(folder)])
    with pytest.raises(ValueError, match=f"{folder}.*dtype.*'float32'.*'float16'"):
        train(make_model(micro_clip, folder, dtype='float16'), [batches(folder)])
    with pytest.raises(ValueError, match=f'{folder}.*crops.*32.*24'):
        train(make_model(micro_clip, folder), [batches(folder, size=24)])
    with pytest.raises(ValueError, match=f"{folder}.*precision.*'float32'.*'bfloat16'"):
        train(
            make_model(micro_clip, folder),
            [batches(folder)],
            lambda: torch.autocast('cpu', torch.bfloat16),
        )
    with pytest.raises(ValueError, match=f'{tmp_path / "elsewhere"}.*{folder}'):
        train(make_model(micro_clip, folder), [batches(tmp_path / 'elsewhere')])
    with pytest.raises(ValueError, match=r'model\.teacher_cache'):
        train(make_model(micro_clip), [batches(folder)])
    with pytest.raises(ValueError, match='CropUncachedRegions'):
        train(make_model(micro_clip, folder), [batches()])
    with pytest.raises(ValueError, match=r"dtype.*'int8'"):
        make_model(micro_clip, folder, dtype='int8')
    assert contents(folder) == before


# Filling ahead.


def overrides(shapes, micro_clip, folder):
    return {
        'train_dataloader.dataset.data_root': f'{shapes}/',
        'train_dataloader.dataset.pipeline.1.regions.jitter': 0,
        'train_dataloader.dataset.pipeline.2.type': 'CropUncachedRegions',
        'train_dataloader.dataset.pipeline.2.size': 32,
        'train_dataloader.dataset.pipeline.2.folder': str(folder),
        'train_dataloader.dataset.pipeline.3.size': 64,
        'model.data_preprocessor.image_size': 64,
        'model.tower.model': micro_clip,
        'model.teacher_cache.folder': str(folder),
    }


def shapes_config(*args):
    config = Config.fromfile(ROOT / 'configs/shapes/clipself_tiny_proposals_shapes-ov.py')
    config.merge_from_dict(overrides(*args))
    return config


@pytest.mark.slow
def test_two_processes_fill_the_cache_for_training(shapes, micro_clip, tmp_path):
    folder = tmp_path / 'cache'
    changed = [f'{key}={value}' for key, value in overrides(shapes, micro_clip, folder).items()]
    config = ROOT / 'configs/shapes/clipself_tiny_proposals_shapes-ov.py'
    done = call_on_two(FILL, config, '--epochs', 1, '--cfg-options', *changed, cwd=tmp_path)
    count = len(contents(folder)[1])
    assert f'{folder}: {count} crops encoded, 0 found' in done.stdout
    # One process, two epochs: both find every crop of the 24 scenes.
    config = shapes_config(shapes, micro_clip, folder)
    config.train_cfg.max_epochs = 2
    encoded, found = fill_teacher_cache(config)
    assert (encoded, found) == (0, 2 * count)
    assert count >= 24


def test_the_second_epoch_does_not_run_the_teacher(shapes, micro_clip, tmp_path, monkeypatch):
    name = 'clipself_eva02-l14-336_proposals-cached_8xb2-6e_coco'
    config = Config.fromfile(ROOT / f'configs/clipself/{name}.py')
    config.merge_from_dict(
        {
            'train_dataloader.num_workers': 0,
            'train_dataloader.persistent_workers': False,
            'train_dataloader.dataset.data_root': f'{shapes}/',
            'train_dataloader.dataset.ann_file': 'annotations/instances_train.json',
            'train_dataloader.dataset.data_prefix.img': 'train/',
            'train_dataloader.dataset.pipeline.2.size': 32,
            'train_dataloader.dataset.pipeline.3.size': 64,
            'model.data_preprocessor.image_size': 64,
            'model.tower.model': micro_clip,
            'model.tower.checkpoint': None,
            'model.classifier': None,
            'train_cfg.max_epochs': 2,
        }
    )
    monkeypatch.chdir(tmp_path)
    encoded, found = fill_teacher_cache(config)
    assert encoded == found >= 24


def test_filling_resumes_with_the_missing_pass(shapes, micro_clip, tmp_path):
    """Regions differ per epoch, so a cached first pass does not end the filling."""
    config = shapes_config(shapes, micro_clip, tmp_path / 'cache')
    config.train_dataloader.dataset.update(indices=6)
    config.train_dataloader.dataset.pipeline[1].regions.jitter = 0.3
    made = {}
    for epochs in (1, 2):
        config.train_cfg.max_epochs = epochs
        made[epochs] = fill_teacher_cache(config)
    first, second = made[1], made[2]
    assert first[0] > 0
    assert first[1] == 0
    assert second[0] > 0
    assert second[1] >= first[0]


def test_persistent_workers_find_embeddings_of_the_first_epoch(shapes, micro_clip, tmp_path):
    config = shapes_config(shapes, micro_clip, tmp_path / 'cache')
    config.train_dataloader.update(num_workers=2, persistent_workers=True)
    config.train_dataloader.dataset.indices = 8
    loader = Runner.build_dataloader(config.train_dataloader, seed=0)
    model = MODELS.build(config.model).train()
    crops, regions = [], []
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            data = model.data_preprocessor(batch, training=True)
            targets = model.targets(data['inputs']['crops'], data['data_samples'])
            crops.append(len(data['inputs']['crops']))
            regions.append(len(targets))
    assert crops[:4] == regions[:4]
    assert crops[4:] == [0] * 4
    assert sum(regions[:4]) == sum(regions[4:]) >= 8


def test_filling_needs_a_cache_and_a_seed(shapes, micro_clip, tmp_path):
    config = shapes_config(shapes, micro_clip, tmp_path / 'cache')
    config.randomness = dict(seed=None)
    with pytest.raises(ValueError, match=r'randomness\.seed'):
        fill_teacher_cache(config)
    config.model.teacher_cache = None
    with pytest.raises(ValueError, match=r'model\.teacher_cache'):
        fill_teacher_cache(config)
    assert not (tmp_path / 'cache').exists()
