"""Pictures without labels, tar shards and a teacher cache by the user's commands."""

import sys

import pytest
import torch

from clipself_mm.datasets.annotations.image_listing import scan_images
from clipself_mm.datasets.sharded.writing import write_shards
from tests.commands import (
    EPOCHS,
    PATCHES,
    ROOT,
    assert_same,
    call,
    call_on_two,
    last_weights,
    options,
    train_and_kill,
    train_command,
)

pytestmark = pytest.mark.slow

FOLDER = ROOT / 'configs/shapes/clipself_tiny_patches-folder_shapes-ov.py'
PROPOSALS = ROOT / 'configs/shapes/clipself_tiny_proposals_shapes-ov.py'
SHARDS = ROOT / 'configs/shapes/clipself_tiny_patches-shards_shapes-ov.py'


def test_a_plain_folder_trains_as_the_json_of_its_images(shapes, micro_clip, words_given, tmp_path):
    overrides = options(shapes, micro_clip, *EPOCHS, words_given, 'train_cfg.max_epochs=1')
    weights = []
    for config in (PATCHES, FOLDER):
        call(train_command(tmp_path / config.stem, overrides, config=config), tmp_path)
        weights.append(last_weights(tmp_path / config.stem))
    assert_same(*weights)


@pytest.fixture(scope='module')
def sharded(shapes):
    """The Shapes-OV folder, with shards of 5 pictures beside its images."""
    pytest.importorskip('webdataset', reason='the extra wds is not installed')
    write_shards(shapes / 'train', scan_images(shapes / 'train'), shapes / 'shards', size=5)
    return shapes


def test_a_killed_training_on_shards_ends_as_the_unbroken_one(
    sharded, micro_clip, words_given, tmp_path
):
    """The resumed run has other workers and goes on in the midst of the second pass."""
    overrides = options(
        sharded,
        micro_clip,
        words_given,
        'train_cfg.max_iters=30',
        'train_cfg.val_interval=100',
        'param_scheduler.0.end=30',
        'param_scheduler.0.warmup=4',
        'default_hooks.checkpoint.interval=5',
        'train_dataloader.dataset.window=3',
    )
    call(train_command(tmp_path / 'whole', overrides, config=SHARDS), tmp_path)
    work_dir = tmp_path / 'run'
    train_and_kill(train_command(work_dir, overrides, config=SHARDS), work_dir, 'iter_15.pth')
    overrides.append('train_dataloader.num_workers=2')
    call(train_command(work_dir, overrides, '--resume', config=SHARDS), tmp_path)
    assert_same(last_weights(work_dir), last_weights(tmp_path / 'whole'))


def test_two_processes_with_workers_read_shards_as_without(
    sharded, micro_clip, words_given, tmp_path
):
    """The run with two workers a process is resumed once; it ends as the one that never stopped."""
    length = [
        'train_cfg.val_interval=100',
        'param_scheduler.0.end=12',
        'param_scheduler.0.warmup=4',
    ]

    def train(name, iterations, workers, *arguments):
        changed = [f'train_cfg.max_iters={iterations}', f'train_dataloader.num_workers={workers}']
        command = train_command(
            tmp_path / name,
            options(sharded, micro_clip, words_given, *length, *changed),
            *arguments,
            config=SHARDS,
        )
        call_on_two(*command[1:], cwd=tmp_path)
        return last_weights(tmp_path / name)

    whole = train('whole', 12, 0)
    train('run', 6, 2)
    assert_same(train('run', 12, 2, '--resume'), whole)


def test_a_filled_cache_trains_without_its_teacher(shapes, micro_clip, words_given, tmp_path):
    """Filled ahead by the tool, trained by train.py: nothing is added, the weights agree."""
    pytest.importorskip('lmdb', reason='the extra cache is not installed')
    folder = tmp_path / 'cache'
    length = ['train_cfg.max_epochs=2', 'param_scheduler.0.end=2', 'param_scheduler.0.warmup=4']
    length += ['train_dataloader.dataset.pipeline.1.regions.jitter=0', 'train_cfg.val_interval=2']
    plain = options(shapes, micro_clip, words_given, *length)
    cached = [
        *plain,
        'train_dataloader.dataset.pipeline.2.type=CropUncachedRegions',
        f'train_dataloader.dataset.pipeline.2.folder={folder}',
        f'model.teacher_cache.folder={folder}',
    ]
    fill = [sys.executable, ROOT / 'tools/fill_teacher_cache.py', PROPOSALS, '--cfg-options']
    call([*fill, *cached], tmp_path)
    content = (folder / 'data.mdb').read_bytes()
    for name, overrides in (('plain', plain), ('cached', cached)):
        call(train_command(tmp_path / name, overrides, config=PROPOSALS), tmp_path)
    assert (folder / 'data.mdb').read_bytes() == content
    plain, cached = last_weights(tmp_path / 'plain'), last_weights(tmp_path / 'cached')
    assert plain.keys() == cached.keys()
    for key, value in plain.items():
        torch.testing.assert_close(cached[key], value, rtol=1e-3, atol=1e-5)
