"""tools/train.py and its distributed forms, on a model whose every step can be worked by hand.

With targets of mean 1, batch 2 and lr 0.25 a step takes w to w + 0.25 * 2 * (1 - w), half the way
to 1: 0, 0.5, 0.75, 0.875, 0.9375.
"""

import os
import shutil
import subprocess
import sys
import uuid
from functools import partial
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from tests.commands import ROOT, call_on_two, load_tool
from tests.tools.toy_task import CONFIG


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A config file, and the current folder somewhere else than the checkout."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv('LOCAL_RANK', raising=False)
    file = tmp_path / 'toy.py'
    file.write_text(CONFIG.replace('RUN', uuid.uuid4().hex))
    return file


@pytest.fixture
def train(run_tool):
    """Runs tools/train.py's main with the given words."""
    return partial(run_tool, 'train')


def weight(work_dir):
    path = (Path(work_dir) / 'last_checkpoint').read_text()
    return torch.load(path, weights_only=False)['state_dict']['weight'].item()


def test_trains_into_a_folder_named_after_the_config(config, train):
    train(config)
    assert weight('work_dirs/toy') == 0.75


def test_options_of_the_config_can_be_overridden(config, train):
    train(config, '--work-dir', 'w', '--cfg-options', 'train_dataloader.batch_size=4')
    assert weight('w') == 0.5  # one step instead of two


def test_auto_scale_lr_halves_the_rate_of_half_the_batch(config, train):
    train(config, '--work-dir', 'w', '--auto-scale-lr')
    assert weight('w') == pytest.approx(0.4375)  # 0 -> 0.25 -> 0.25 + 0.125 * 2 * 0.75


def test_auto_scale_lr_needs_a_base_batch_size(config, train):
    with pytest.raises(KeyError, match=r'toy\.py.*auto_scale_lr\.base_batch_size'):
        train(config, '--auto-scale-lr', '--cfg-options', "auto_scale_lr={'_delete_':True}")


@pytest.mark.parametrize('resume', [['--resume'], ['--resume', 'w/epoch_1.pth']])
def test_resume_continues(config, train, resume):
    train(config, '--work-dir', 'w')
    train(config, '--work-dir', 'w', *resume, '--cfg-options', 'train_cfg.max_epochs=2')
    assert weight('w') == 0.9375  # four steps


def test_resume_in_an_empty_work_dir_keeps_load_from(config, train):
    train(config, '--work-dir', 'v')
    load = ['--cfg-options', 'load_from=v/epoch_1.pth']
    train(config, '--work-dir', 'w', '--resume', *load)
    assert weight('w') == 0.9375  # two steps from 0.75
    train(config, '--work-dir', 'w', '--resume', *load, 'train_cfg.max_epochs=2')
    assert weight('w') == 0.984375  # two more, from the work dir's own checkpoint


def test_amp_wraps_the_optimizer_and_keeps_a_configured_loss_scale():
    train = load_tool('train')
    args = train.argparse.Namespace(amp=True, auto_scale_lr=False, resume=None)
    plain = Config(dict(optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD'))))
    static = Config(dict(optim_wrapper=dict(type='AmpOptimWrapper', loss_scale=512.0)))
    for config in (plain, static):
        train.apply_options(config, args)
    assert plain.optim_wrapper.type == 'AmpOptimWrapper'
    assert plain.optim_wrapper.loss_scale == 'dynamic'
    assert static.optim_wrapper.loss_scale == 512.0


def run(command, cwd, **env):
    env = {**os.environ, 'PYTHON': sys.executable, 'OMP_NUM_THREADS': '1', **env}
    return subprocess.run(
        [str(word) for word in command], cwd=cwd, env=env, capture_output=True, text=True
    )


@pytest.mark.slow
def test_two_processes_synchronise_gradients(config, tmp_path):
    """Rank 0 sees only the targets 0, on which it would stay at w = 0 if it trained alone."""
    options = ['--work-dir', 'w', '--cfg-options', 'train_dataloader.batch_size=1']
    call_on_two(ROOT / 'tools/train.py', config, *options, cwd=tmp_path)
    assert weight(tmp_path / 'w') == 0.75


@pytest.mark.slow
def test_uses_the_checkout_it_lies_in(tmp_path):
    """A copy of the tool finds the package beside it, from any folder and not installed."""
    (tmp_path / 'tools').mkdir()
    (tmp_path / 'clipself_mm').mkdir()
    shutil.copy(ROOT / 'tools/train.py', tmp_path / 'tools')
    (tmp_path / 'clipself_mm/__init__.py').touch()
    (tmp_path / 'clipself_mm/launch.py').write_text('raise SystemExit(f"found {__file__}")')
    done = run([sys.executable, tmp_path / 'tools/train.py', '-h'], '/', PYTHONPATH='')
    assert done.stderr.strip() == f'found {tmp_path / "clipself_mm/launch.py"}'


@pytest.mark.parametrize(
    ('script', 'words', 'expected'),
    [
        (
            'dist_train.sh',
            ['c.py', '4', '--amp'],
            '-m torch.distributed.run --nnodes=2 --node_rank=1 --master_addr=host '
            '--master_port=29500 --nproc_per_node=4 TOOLS/train.py c.py --launcher pytorch --amp',
        ),
        (
            'dist_test.sh',
            ['c.py', 'last.pth', '4', '--out', 'a b.pkl'],
            '-m torch.distributed.run --nnodes=2 --node_rank=1 --master_addr=host '
            '--master_port=29500 --nproc_per_node=4 '
            'TOOLS/test.py c.py last.pth --launcher pytorch --out a b.pkl',
        ),
        (
            'slurm_train.sh',
            ['part', 'job', 'c.py', 'dir', '--resume'],
            '-p part --job-name=job --gres=gpu:8 --ntasks=16 --ntasks-per-node=8 '
            '--cpus-per-task=5 --kill-on-bad-exit=1 --quiet --exclusive '
            'echo -u TOOLS/train.py c.py --work-dir dir --launcher slurm --resume',
        ),
        (
            'slurm_test.sh',
            ['part', 'job', 'c.py', 'last.pth'],
            '-p part --job-name=job --gres=gpu:8 --ntasks=16 --ntasks-per-node=8 '
            '--cpus-per-task=5 --kill-on-bad-exit=1 --quiet --exclusive '
            'echo -u TOOLS/test.py c.py last.pth --launcher slurm',
        ),
    ],
)
def test_launch_scripts_hand_everything_on(tmp_path, monkeypatch, script, words, expected):
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\necho "$@"\n')
    srun.chmod(0o755)
    for name in ('PORT', 'GPUS_PER_NODE', 'CPUS_PER_TASK'):
        monkeypatch.delenv(name, raising=False)
    env = {
        'PYTHON': 'echo',
        'PATH': f'{tmp_path}:{os.environ["PATH"]}',
        'NNODES': '2',
        'NODE_RANK': '1',
        'MASTER_ADDR': 'host',
        'GPUS': '16',
        'SRUN_ARGS': '--quiet --exclusive',
    }
    done = run([ROOT / 'tools' / script, *words], tmp_path, **env)
    assert done.stdout.strip() == expected.replace('TOOLS', str(ROOT / 'tools'))


@pytest.mark.parametrize('script', sorted(path.name for path in ROOT.glob('tools/*.sh')))
def test_launch_scripts_say_how_they_are_called(tmp_path, script):
    done = run([ROOT / 'tools' / script], tmp_path)
    assert done.returncode == 2
    assert f'tools/{script}' in done.stderr
    assert 'CONFIG' in done.stderr
