"""The user's commands as tests call them, each in a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
TORCH = tuple(int(part) for part in torch.__version__.split('.')[:2])


def call(command, cwd, **kwargs):
    """Run a command to its good end."""
    env = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHON': sys.executable, 'PYTHONPATH': str(ROOT)}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True, **kwargs
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def train_command(work_dir, overrides, *arguments, config, tool=ROOT / 'tools/train.py'):
    command = [sys.executable, tool, config, '--work-dir', work_dir, *arguments]
    return [str(part) for part in (*command, '--cfg-options', *overrides)]


def train_and_kill(command, work_dir, once):
    """Start a training, kill it with all its processes once it has written a file."""
    process = subprocess.Popen(
        command,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        cwd=work_dir.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
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
