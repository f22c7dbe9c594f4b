"""The user's commands as tests call them, each in a process of its own."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]


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
