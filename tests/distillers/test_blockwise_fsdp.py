"""FSDP on two processors: the same training, checkpoint and blend as on one."""

import contextlib
import json
import sys

import pytest
import torch
from mmengine._strategy import FSDPStrategy
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel as FSDP

from clipself_mm.distillers import BlockwiseFSDP
from clipself_mm.distillers.whole_state_fsdp_strategy import WholeStateFSDPStrategy
from tests.commands import ROOT, call, fsdp_on_processors


@fsdp_on_processors
@pytest.mark.skipif(not torch.distributed.is_available(), reason='no torch.distributed')
def test_two_processes_with_spread_weights_are_one_with_the_whole_batch(micro_clip, tmp_path):
    script = ROOT / 'tests/distillers/fsdp_processes.py'
    call([sys.executable, script, micro_clip, tmp_path], tmp_path, timeout=900)
    report = json.loads((tmp_path / 'report.json').read_text())
    assert report['units'] == 1 + 3  # the model, and each block of the student
    assert report['teacher is whole']
    assert report['names']
    whole = report['numbers of the student']
    assert 0.4 * whole < report['numbers held of the student'] < 0.6 * whole
    assert report['moved'] > 4e-3  # what decays is what decays on one process
    assert report['one process'] < 2e-4
    assert report['blend'] == 0
    assert report['resumed'] == 0


class LossScaler:
    """What of torch's is asked here; that of torch 2.1 is for GPUs only."""

    def __init__(self, scale):
        self.scale = scale

    def state_dict(self):
        return dict(scale=self.scale)

    def load_state_dict(self, state):
        self.scale = state['scale']


class MixedPrecision:
    """An optimizer wrapper with a loss scale; mmengine's refuses to be made without a GPU."""

    def __init__(self, scale):
        self.optimizer = torch.optim.AdamW([nn.Parameter(torch.ones(2))])
        self.optimizer._step_supports_amp_scaling = True  # as a fused one has it
        self.loss_scaler = LossScaler(scale)

    def load_state_dict(self, state):
        self.loss_scaler.load_state_dict(state.pop('loss_scaler'))
        self.loaded = state


@pytest.fixture
def strategy(monkeypatch):
    """A strategy whose FSDP holds one process's weights as they are."""
    monkeypatch.setattr(FSDP, 'summon_full_params', lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(FSDP, 'optim_state_dict', lambda model, optim: dict(state='gathered'))
    monkeypatch.setattr(
        FSDP, 'optim_state_dict_to_load', lambda model, optim, optim_state_dict: optim_state_dict
    )
    strategy = WholeStateFSDPStrategy.__new__(WholeStateFSDPStrategy)
    strategy.model = None
    return strategy


def test_an_overflow_is_asked_of_all_processes(strategy, monkeypatch):
    """A fused optimizer would look for it inside its step, in its own share of the gradients."""
    wrapper = MixedPrecision(4.0)
    monkeypatch.setattr(FSDPStrategy, 'build_optim_wrapper', lambda *_: wrapper)
    assert strategy.build_optim_wrapper(dict()) is wrapper
    assert not wrapper.optimizer._step_supports_amp_scaling


def test_the_loss_scale_is_in_the_checkpoint(strategy):
    strategy.optim_wrapper = MixedPrecision(4.0)
    saved = strategy.optim_state_dict()
    assert saved.keys() == {'state', 'loss_scaler'}
    strategy.optim_wrapper = MixedPrecision(2.0)
    strategy.load_optim_state_dict(saved)
    assert strategy.optim_wrapper.loss_scaler.scale == 4.0
    assert strategy.optim_wrapper.loaded == dict(state='gathered')


def test_what_it_cannot_spread_is_refused():
    with pytest.raises(ValueError, match='Linear has not'):
        BlockwiseFSDP(nn.Linear(2, 2))
    with pytest.raises(ValueError, match='sets use_orig_params itself'):
        BlockwiseFSDP(nn.Linear(2, 2), use_orig_params=False)
