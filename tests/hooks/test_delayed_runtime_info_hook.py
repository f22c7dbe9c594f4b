"""Losses are read a step late, except where somebody looks; logs and checkpoints are mmengine's.

Without a CUDA device nothing is delayed; `delayed` has the hooks believe that it is worthwhile.
"""

import json
import uuid

import pytest
import torch

from clipself_mm.hooks.host_copy import HostCopy
from tests.tools.toy_task import CONFIG, ToyLine

HOOK = """
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=3, ignore_last=False),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2),
    runtime_info=dict(type='TYPE'),
)
custom_imports = dict(imports=['clipself_mm', 'tests.tools.toy_task'])
train_dataloader.update(batch_size=1)
val_dataloader, val_cfg, val_evaluator = test_dataloader, test_cfg, test_evaluator
"""
LOOPS = {
    'epochs': 'train_cfg = dict(by_epoch=True, max_epochs=2, val_interval=1)\n',
    'iterations': """
train_cfg = dict(by_epoch=False, max_iters=7, val_interval=5)
train_dataloader.update(sampler=dict(type='InfiniteSampler', shuffle=False))
log_processor = dict(by_epoch=False)
""",
    'epochs shorter than the interval': """
train_cfg = dict(by_epoch=True, max_epochs=2, val_interval=1)
default_hooks.update(logger=dict(type='LoggerHook', interval=9))
""",
}


@pytest.fixture
def delayed(monkeypatch):
    monkeypatch.setattr(HostCopy, 'is_worthwhile', staticmethod(lambda values: True))


@pytest.fixture
def train(tmp_path, run_tool, monkeypatch):
    monkeypatch.delenv('LOCAL_RANK', raising=False)

    def run(loop, hook):
        config = tmp_path / f'{loop}_{hook}.py'
        text = CONFIG.replace('RUN', uuid.uuid4().hex) + HOOK.replace('TYPE', hook)
        config.write_text(text + LOOPS[loop])
        run_tool('train', config, '--work-dir', tmp_path / hook)
        return tmp_path / hook

    return run


def logged(work_dir):
    """Lines of the log without times."""
    (path,) = work_dir.glob('*/vis_data/scalars.json')
    lines = map(json.loads, path.read_text().splitlines())
    return [{k: v for k, v in line.items() if 'time' not in k} for line in lines]


def histories(work_dir):
    """Losses in the message hub of each checkpoint."""
    found = {}
    for path in sorted(work_dir.glob('iter_*.pth')):
        hub = torch.load(path, weights_only=False)['message_hub']
        found[path.name] = hub['log_scalars']['train/loss'].data[0].tolist()
    return found


@pytest.mark.parametrize('loop', LOOPS)
def test_logs_and_checkpoints_are_those_of_mmengine(train, delayed, loop):
    theirs, ours = (train(loop, f'{kind}RuntimeInfoHook') for kind in ('', 'Delayed'))
    assert logged(ours) == logged(theirs)
    assert sum('loss' in line for line in logged(ours)) >= 2
    assert histories(ours) == histories(theirs)
    assert {name: len(losses) for name, losses in histories(ours).items()} == {
        f'iter_{step}.pth': step for step in (2, 4, 6, 7 if loop == 'iterations' else 8)
    }


def test_a_loss_is_read_after_the_next_step_unless_it_is_logged(train, delayed, monkeypatch):
    steps, when_read = [], []
    forward, read = ToyLine.forward, HostCopy.read

    def step(self, *args, mode='tensor', **kwargs):
        if mode == 'loss':
            steps.append(None)
        return forward(self, *args, mode=mode, **kwargs)

    def get(self):
        when_read.append(len(steps))
        return read(self)

    monkeypatch.setattr(ToyLine, 'forward', step)
    monkeypatch.setattr(HostCopy, 'read', get)
    monkeypatch.setitem(LOOPS, 'plain', LOOPS['epochs'] + "default_hooks.pop('checkpoint')")
    train('plain', 'DelayedRuntimeInfoHook')
    assert when_read == [2, 3, 3, 4, 6, 7, 7, 8]  # of steps 1 to 8; 3 and 4 of an epoch at once


def test_on_a_processor_nothing_is_copied(train, monkeypatch):
    monkeypatch.setattr(HostCopy, '__init__', None)
    work_dir = train('epochs', 'DelayedRuntimeInfoHook')
    assert len(histories(work_dir)['iter_8.pth']) == 8
