"""The user's commands on a small Shapes-OV: train, kill, resume, test, export, two processes."""

import json
import shutil
import sys
from pathlib import Path

import open_clip
import pytest
import torch

from clipself_mm.clip import build_tower
from tests.commands import (
    EPOCHS,
    PATCHES,
    ROOT,
    assert_same,
    call,
    call_on_two,
    free_port,
    last_weights,
    metrics_of,
    options,
    train_and_kill,
    train_command,
)

pytestmark = pytest.mark.slow

EVALUATION = ROOT / 'configs/shapes/region-eval_tiny_shapes-ov.py'
ITERATION_LOOP = f"""
_base_ = ['{PATCHES}']
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=18, val_interval=100)
train_dataloader = dict(sampler=dict(_delete_=True, type='InfiniteSeededSampler'))
param_scheduler = [dict(type='WarmupCosineLR', warmup=4, end=18)]
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=3))
log_processor = dict(by_epoch=False)
"""
ONE_EPOCH = 'train_cfg.max_epochs=1'
TWO_EPOCHS = 'train_cfg.max_epochs=2'
WORKERS = {
    'no-workers': ['train_dataloader.num_workers=0'],
    'two-workers': ['train_dataloader.num_workers=2'],
    'two-persistent-workers': [
        'train_dataloader.num_workers=2',
        'train_dataloader.persistent_workers=True',
    ],
}


def loop_of(loop, folder):
    """Config and overrides of a short epoch or iteration loop."""
    if loop == 'epochs':
        return PATCHES, EPOCHS
    config = folder / 'iteration_loop.py'
    config.write_text(ITERATION_LOOP)
    return config, []


@pytest.fixture(scope='session')
def unbroken(shapes, micro_clip, words_given, tmp_path_factory):
    """Work dirs of the unbroken runs, by loop."""
    work_dirs = {}
    for loop in ('epochs', 'iterations'):
        folder = tmp_path_factory.mktemp(loop)
        config, length = loop_of(loop, folder)
        overrides = options(shapes, micro_clip, *length, words_given, *WORKERS['no-workers'])
        call(train_command(folder / 'run', overrides, config=config), folder)
        work_dirs[loop] = folder / 'run'
    return work_dirs


@pytest.mark.parametrize('workers', WORKERS)
@pytest.mark.parametrize('loop', ['epochs', 'iterations'])
def test_a_killed_and_resumed_run_ends_as_the_unbroken_one(
    shapes, micro_clip, words_given, unbroken, tmp_path, loop, workers
):
    """Covers two runs with one seed as well: before the kill and after it all weights agree."""
    config, length = loop_of(loop, tmp_path)
    overrides = options(shapes, micro_clip, *length, words_given, *WORKERS[workers])
    work_dir = tmp_path / 'run'
    train_and_kill(train_command(work_dir, overrides, config=config), work_dir, 'last_checkpoint')
    call(train_command(work_dir, overrides, '--resume', config=config), tmp_path)
    assert_same(last_weights(work_dir), last_weights(unbroken[loop]))


def run_test(work_dir, config, overrides, *arguments):
    overrides = [item for item in overrides if not item.startswith(('train_', 'val_'))]
    command = [sys.executable, ROOT / 'tools/test.py', config, *arguments]
    call([*command, '--work-dir', work_dir, '--cfg-options', *overrides], work_dir.parent)
    return metrics_of(work_dir, 'region/')


def test_checkpoint_exported_tower_and_validation_agree(shapes, micro_clip, tmp_path):
    overrides = options(shapes, micro_clip, *EPOCHS)
    overrides += ['optim_wrapper.optimizer.lr=0.01']
    work_dir = tmp_path / 'run'
    call(train_command(work_dir, overrides, config=PATCHES), tmp_path)
    (scalars,) = work_dir.glob('*/vis_data/scalars.json')
    records = map(json.loads, scalars.read_text().splitlines())
    validated = [
        {key: value for key, value in record.items() if key.startswith('region/')}
        for record in records
        if 'region/boxes/top1' in record
    ]
    assert len(validated) == 3
    tops = [record['region/boxes/top1'] for record in validated]
    best = tops.index(max(tops))
    (best_checkpoint,) = work_dir.glob('best_*.pth')
    for name, checkpoint, expected in (
        ('tower', work_dir / 'epoch_3.pth', validated[-1]),
        ('best_tower', best_checkpoint, validated[best]),
    ):
        card = (work_dir / name / 'README.md').read_text()
        assert all(f'| {key} | {value:.4g} |' in card for key, value in expected.items())
        assert str(tmp_path) not in card
        of_checkpoint = run_test(
            tmp_path / f'{name}-checkpoint',
            PATCHES,
            [
                item
                for item in overrides
                if item.startswith(('test_', 'model.', 'default_hooks.weight'))
            ],
            checkpoint,
        )
        tower = f'model.tower.model=local-dir:{work_dir / name}'
        of_tower = run_test(
            tmp_path / f'{name}-exported',
            EVALUATION,
            [item for item in options(shapes, micro_clip) if 'model.tower' not in item] + [tower],
        )
        assert of_checkpoint == expected
        assert of_tower == expected
    raw = last_weights(work_dir)
    exported = build_tower(f'local-dir:{work_dir / "tower"}').state_dict()
    for key, value in exported.items():
        student, teacher = raw[f'student.{key}'], raw[f'teacher.{key}']
        torch.testing.assert_close(value, 0.7 * student + 0.3 * teacher)
    assert any(not exported[key].equal(raw[f'student.{key}']) for key in exported)
    _, _, preprocess = open_clip.create_model_and_transforms(f'local-dir:{work_dir / "tower"}')
    assert str(preprocess) == str(open_clip.create_model_and_transforms(micro_clip)[2])
    written = (work_dir / 'best_tower' / 'open_clip_model.safetensors').read_bytes()
    shutil.rmtree(work_dir / 'best_tower')  # as a kill between checkpoint and export leaves it
    call(train_command(work_dir, overrides, '--resume', config=PATCHES), tmp_path)
    assert (work_dir / 'best_tower' / 'open_clip_model.safetensors').read_bytes() == written
    plain = open_clip.create_model(f'local-dir:{work_dir / "tower"}')
    images = torch.randn(2, 3, 32, 32)
    ours = build_tower(f'local-dir:{work_dir / "tower"}').eval()
    torch.testing.assert_close(plain.eval().encode_image(images), ours.encode_image(images))


def test_two_processes_train_and_measure_as_one(shapes, micro_clip, words_given, tmp_path):
    """Batch 2 on two processes is batch 4 on one: the gradients are synchronised."""
    runs = {}
    for processes in (1, 2):
        work_dir = tmp_path / f'{processes}-processes'
        batch = f'train_dataloader.batch_size={4 // processes}'
        overrides = options(shapes, micro_clip, *EPOCHS, words_given, batch, TWO_EPOCHS)
        if processes == 1:
            call(train_command(work_dir, overrides, config=PATCHES), tmp_path)
        else:
            port = free_port()
            script = ROOT / 'tools/dist_train.sh'
            command = ['bash', script, PATCHES, 2, '--work-dir', work_dir]
            call(['env', f'PORT={port}', *command, '--cfg-options', *overrides], tmp_path)
        runs[processes] = last_weights(work_dir)
    moved = 0
    for key, value in runs[1].items():
        torch.testing.assert_close(runs[2][key], value, rtol=1e-3, atol=1e-5)
        moved += not value.equal(runs[1][key.replace('student.', 'teacher.')])
    assert moved > 0
    checkpoint = tmp_path / '1-processes' / 'epoch_2.pth'
    overrides = options(shapes, micro_clip, words_given)
    one = run_test(tmp_path / 'one', PATCHES, overrides, checkpoint)
    overrides = [item for item in overrides if not item.startswith(('train_', 'val_'))]
    command = [ROOT / 'tools/test.py', PATCHES, checkpoint, '--work-dir', tmp_path / 'two']
    call_on_two(*command, '--cfg-options', *overrides, cwd=tmp_path)
    assert metrics_of(tmp_path / 'two', 'region/') == one


def test_mmdet_own_training_tool_runs_the_config_from_any_folder(shapes, micro_clip, tmp_path):
    import mmdet

    (tool,) = Path(mmdet.__file__).parent.glob('.mim/tools/train.py')
    overrides = options(shapes, micro_clip, *EPOCHS, ONE_EPOCH)
    call(train_command(tmp_path / 'run', overrides, config=PATCHES, tool=tool), tmp_path)
    assert (tmp_path / 'run' / 'tower' / 'open_clip_model.safetensors').is_file()
