"""A loss or weight that is not finite ends the run and costs no good checkpoint."""

import sys
import uuid
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock, Mock

import pytest
import torch
from mmengine.hooks import LoggerHook
from mmengine.logging import MessageHub
from mmengine.runner import IterBasedTrainLoop

from clipself_mm.hooks import DelayedRuntimeInfoHook, FiniteLossHook, processes
from clipself_mm.hooks.durable_checkpoint_hook import check_losses_and_parameters
from clipself_mm.hooks.host_copy import HostCopy
from tests.commands import call, free_port
from tests.tools.toy_task import CONFIG

HOOKS = """
default_hooks = dict(
    checkpoint=dict(type='DurableCheckpointHook', by_epoch=False, interval=1),
    finite_loss=dict(type='FiniteLossHook'),
)
custom_imports = dict(imports=['clipself_mm', 'tests.tools.toy_task'])
"""


@pytest.fixture
def train(tmp_path, run_tool, monkeypatch):
    monkeypatch.delenv('LOCAL_RANK', raising=False)
    config = tmp_path / 'toy.py'
    config.write_text(CONFIG.replace('RUN', uuid.uuid4().hex) + HOOKS)
    return partial(run_tool, 'train', config, '--work-dir', tmp_path / 'w', '--cfg-options')


def saved(tmp_path):
    return sorted(path.name for path in (tmp_path / 'w').glob('iter_*.pth'))


def test_a_loss_of_inf_ends_the_run_before_its_checkpoint(train, tmp_path):
    """The first step takes w from 0 to 2e30, whose square is beyond float32."""
    with pytest.raises(FloatingPointError, match=r'step 2 of epoch 1: loss is inf.*iter_1\.pth'):
        train('optim_wrapper.optimizer.lr=1e30')
    assert saved(tmp_path) == ['iter_1.pth']
    weight = torch.load(tmp_path / 'w/iter_1.pth', weights_only=False)['state_dict']['weight']
    assert weight.item() == pytest.approx(2e30)


def test_an_update_to_inf_is_not_saved(train, tmp_path):
    with pytest.raises(FloatingPointError, match=r'1 of 1 parameters.*the first is weight'):
        train('optim_wrapper.optimizer.lr=3e38')
    assert saved(tmp_path) == []


def runner_of(iteration=6, hooks=()):
    hub = MessageHub.get_instance(f'hub {uuid.uuid4().hex}')
    return SimpleNamespace(
        message_hub=hub,
        iter=iteration,
        epoch=1,
        hooks=hooks,
        train_loop=None,
        train_dataloader=range(99),
        model=torch.nn.Identity(),
    )


NAN = float('nan')
GOOD = {'loss': 1.0, 'loss_cls': 1.0, 'acc': NAN}
BAD = {'loss': NAN, 'loss_cls': 1.0, 'loss_box': NAN}
MESSAGE = 'step 7 of epoch 2: loss is nan, loss_box is nan'


@pytest.mark.parametrize('kind', [float, torch.tensor])
def test_the_losses_that_are_not_finite_are_named(kind):
    hook = FiniteLossHook()
    hook.after_train_iter(runner_of(5), 0, outputs={k: kind(v) for k, v in GOOD.items()})
    with pytest.raises(FloatingPointError, match=MESSAGE):
        hook.after_train_iter(runner_of(6), 0, outputs={k: kind(v) for k, v in BAD.items()})


@pytest.fixture
def delayed(monkeypatch):
    """Has the hooks believe that zero-dimensional values are on a CUDA device."""
    monkeypatch.setattr(HostCopy, 'is_worthwhile', staticmethod(lambda values: values.ndim == 0))


def on_device(losses, **others):
    return {key: torch.tensor(value) for key, value in losses.items()} | others


@pytest.mark.parametrize(
    'look',
    [
        lambda hooks: hooks[1].after_train_iter(runner_of(7, hooks), 0, outputs=on_device(GOOD)),
        lambda hooks: check_losses_and_parameters(runner_of(6, hooks)),  # before a checkpoint
    ],
)
def test_a_device_is_asked_when_the_next_step_is_queued(delayed, look):
    """Some losses may be on the processor all the same."""
    hook = FiniteLossHook()
    hooks = [DelayedRuntimeInfoHook(), hook]
    good = on_device(GOOD, loss_line=torch.ones(1))
    hook.after_train_iter(runner_of(5, hooks), 0, outputs=good)
    hook.after_train_iter(runner_of(6, hooks), 0, outputs=on_device(BAD, loss_line=1.0))
    with pytest.raises(FloatingPointError, match=MESSAGE):
        look(hooks)


@pytest.mark.parametrize(
    ('batch', 'loop', 'hooks'),
    [
        (98, None, [DelayedRuntimeInfoHook()]),  # the last of its epoch
        (6, IterBasedTrainLoop(Mock(), MagicMock(), max_iters=7), [DelayedRuntimeInfoHook()]),
        (6, IterBasedTrainLoop(Mock(), MagicMock(), 9, val_interval=7), [DelayedRuntimeInfoHook()]),
        (6, None, [DelayedRuntimeInfoHook(), LoggerHook(interval=7)]),
        (6, None, []),  # mmengine has read the losses
    ],
)
def test_a_device_is_asked_at_once_where_the_host_waits_anyhow(delayed, batch, loop, hooks):
    hook, runner = FiniteLossHook(), runner_of(6, hooks)
    runner.train_loop = loop
    with pytest.raises(FloatingPointError, match=MESSAGE):
        hook.after_train_iter(runner, batch, outputs=on_device(BAD))


def test_a_loss_of_another_process_ends_this_one(monkeypatch):
    monkeypatch.setattr(processes, 'get_world_size', lambda: 2)
    monkeypatch.setattr(processes, 'get_comm_device', lambda: torch.device('cpu'))
    monkeypatch.setattr(processes, 'all_reduce', lambda number, op: number.fill_(1))
    with pytest.raises(FloatingPointError, match=r'step 7 .* a loss of another process'):
        FiniteLossHook().after_train_iter(runner_of(), 0, outputs={'loss': 1.0})


@pytest.mark.slow
@pytest.mark.parametrize('when', ['at once', 'delayed'])
def test_two_processes_end_together_where_one_has_a_nan(tmp_path, when):
    child = Path(__file__).with_name('finite_loss_processes.py')
    call([sys.executable, child, tmp_path, free_port(), when], tmp_path)
    said = [(tmp_path / f'{rank}.txt').read_text() for rank in (0, 1)]
    steps, messages = zip(*(text.split(' | ') for text in said), strict=True)
    assert steps == (('2', '2') if when == 'at once' else ('3', '3'))
    assert messages[0].startswith('step 2 of epoch 1: a loss of another process')
    assert messages[1].startswith('step 2 of epoch 1: loss is nan, loss_line is nan')
