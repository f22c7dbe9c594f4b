"""A loss or weight that is not finite ends the run and costs no good checkpoint."""

import sys
import uuid
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub

from clipself_mm.hooks import FiniteLossHook, finite_loss_hook
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


def step(losses):
    hub = MessageHub.get_instance(f'hub {uuid.uuid4().hex}')
    for key, value in losses.items():
        hub.update_scalar(f'train/{key}', value)
    runner = SimpleNamespace(message_hub=hub, iter=6, epoch=1)
    FiniteLossHook().after_train_iter(runner, 0, outputs=losses)


def test_the_losses_that_are_not_finite_are_named():
    nan = float('nan')
    step({'loss': 1.0, 'loss_cls': 1.0, 'acc': nan})
    with pytest.raises(FloatingPointError, match='step 7 of epoch 2: loss is nan, loss_box is nan'):
        step({'loss': nan, 'loss_cls': 1.0, 'loss_box': nan})


def test_a_loss_of_another_process_ends_this_one(monkeypatch):
    monkeypatch.setattr(finite_loss_hook, 'max_over_processes', lambda mine: 1)
    with pytest.raises(FloatingPointError, match='a loss of another process'):
        step({'loss': 1.0})


@pytest.mark.slow
def test_two_processes_end_in_the_step_in_which_one_has_a_nan(tmp_path):
    child = Path(__file__).with_name('finite_loss_processes.py')
    call([sys.executable, child, tmp_path, free_port()], tmp_path)
    said = [(tmp_path / f'{rank}.txt').read_text() for rank in (0, 1)]
    assert said[0].startswith('step 2 of epoch 1: a loss of another process')
    assert said[1].startswith('step 2 of epoch 1: loss is nan, loss_line is nan')
