"""The user's commands as tests call them, and short runs of them on a small Shapes-OV."""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import torch

from tests.forks import PYTHON_PATH, Fork

ROOT = Path(__file__).parents[1]
PATCHES = ROOT / 'configs/shapes/clipself_tiny_patches_shapes-ov.py'
INPUT = 64  # pixels; keeps the runs short
EPOCHS = [
    'train_cfg.max_epochs=3',
    'train_cfg.val_interval=1',
    'param_scheduler.0.end=3',
    'param_scheduler.0.warmup=4',
    'default_hooks.weight_ensemble.alpha=0.7',
]
TORCH = tuple(int(part) for part in torch.__version__.split('.')[:2])


def load_tool(name):
    """The module of tools/NAME.py, with what its own import adds to sys.path taken back."""
    path = list(sys.path)
    spec = importlib.util.spec_from_file_location(f'tool_{name}', ROOT / 'tools' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path[:] = path
    return module


def call(command, cwd, timeout=600):
    """Run a command to its good end; a Python script in a `Fork`."""
    if is_script(command):
        done = Fork(command[1:], cwd).wait(timeout)
    else:
        env = {'OMP_NUM_THREADS': '1', 'PYTHON': sys.executable, 'PYTHONPATH': PYTHON_PATH}
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def call_on_two(script, *words, cwd):
    """Run a script as two processes, as torchrun starts them; what the first one said."""
    together = dict(WORLD_SIZE='2', MASTER_ADDR='127.0.0.1', MASTER_PORT=str(free_port()))
    words = [script, *words, '--launcher', 'pytorch']
    forks = [Fork(words, cwd, RANK=rank, LOCAL_RANK=rank, **together) for rank in '01']
    first, second = [fork.wait() for fork in forks]
    assert (first.returncode, second.returncode) == (0, 0), first.stderr[-3000:] + second.stderr
    return first


def is_script(command):
    return command[0] == sys.executable and not str(command[1]).startswith('-')


def train_command(work_dir, overrides, *arguments, config, tool=ROOT / 'tools/train.py'):
    command = [sys.executable, tool, config, '--work-dir', work_dir, *arguments]
    return [str(part) for part in (*command, '--cfg-options', *overrides)]


def train_and_kill(command, work_dir, once):
    """Start a training, kill it with all its processes once it has written a file."""
    process = Fork(command[1:], work_dir.parent)
    deadline = time.monotonic() + 240
    while not (work_dir / once).exists():
        assert process.poll() is None, 'the run ended before it could be killed'
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (work_dir / 'tower').exists(), 'the run was over before the kill'


def last_weights(work_dir):
    path = Path((work_dir / 'last_checkpoint').read_text())
    return torch.load(path, map_location='cpu', weights_only=False)['state_dict']


def free_port():
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return listener.getsockname()[1]


def metrics_of(work_dir, *prefixes):
    """What tools/test.py wrote, of the given metrics."""
    (path,) = work_dir.glob('*/*.json')
    return {k: v for k, v in json.loads(path.read_text()).items() if k.startswith(prefixes)}


def options(shapes, micro_clip, *more):
    """Overrides that shrink a Shapes-OV config to seconds."""
    return [
        f'train_dataloader.dataset.data_root={shapes}/',
        f'val_dataloader.dataset.data_root={shapes}/',
        f'test_dataloader.dataset.data_root={shapes}/',
        f'train_dataloader.dataset.pipeline.2.size={INPUT // 2}',
        f'train_dataloader.dataset.pipeline.3.size={INPUT}',
        f'val_dataloader.dataset.pipeline.4.size={INPUT}',
        f'test_dataloader.dataset.pipeline.4.size={INPUT}',
        f'val_dataloader.dataset.pipeline.3.size={INPUT // 2}',
        f'test_dataloader.dataset.pipeline.3.size={INPUT // 2}',
        f'model.data_preprocessor.image_size={INPUT}',
        f'model.tower.model={micro_clip}',
        'default_hooks.logger.interval=1',
        *more,
    ]


def assert_same(one, other):
    assert one.keys() == other.keys()
    different = [key for key in one if not one[key].equal(other[key])]
    assert different == []
