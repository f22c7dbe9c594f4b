"""BN becomes SyncBN on several GPUs only; parameters stay the same objects."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from clipself_mm.hooks import SyncBNHook, sync_bn_hook
from clipself_mm.hooks.sync_bn_hook import synchronise_batch_norms
from tests.commands import call, free_port

CHILD = Path(__file__).with_name('sync_bn_processes.py')


class Activated(nn.BatchNorm2d):
    """A subclass with its own forward, as timm's BatchNormAct2d."""

    def forward(self, image):
        return super().forward(image).relu()


def build():
    """A model with a norm of two parents, one in eval mode, one of its own kind and one 1d."""
    torch.manual_seed(0)
    frozen = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3, momentum=0.3)).eval()
    conv, norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, eps=1e-3)
    conv.follower = norm
    tail = nn.Sequential(Activated(4), nn.Flatten(), nn.Linear(16, 5))
    return nn.Sequential(frozen, conv, norm, tail, nn.BatchNorm1d(5, affine=False))


def runner_of(model):
    lines = []
    logger = SimpleNamespace(info=lines.append)
    return SimpleNamespace(model=model, logger=logger), lines


def on(monkeypatch, processes, device):
    monkeypatch.setattr(sync_bn_hook, 'get_world_size', lambda: processes)
    monkeypatch.setattr(sync_bn_hook, 'device_type', lambda model: device)


def step(model, optimizer):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(6, 3, 4, 4, generator=generator)
    optimizer.zero_grad()
    output = model(images)
    output.square().sum(dim=1).sqrt().mean().backward()
    optimizer.step()
    return output.detach()


def test_weights_and_statistics_stay_the_same_objects(monkeypatch):
    model = build()
    entries = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    keys = list(model.state_dict())
    on(monkeypatch, 8, 'cuda')
    runner, lines = runner_of(model)
    SyncBNHook().before_train(runner)
    assert list(model.state_dict()) == keys
    after = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    assert after.keys() == entries.keys()
    assert all(after[name] is entry for name, entry in entries.items())
    assert lines == ['3 batch norms are synchronised across 8 GPUs']
    assert [type(norm) for norm in (model[0][1], model[2], model[4])] == [nn.SyncBatchNorm] * 3
    assert model[1].follower is model[2]
    assert type(model[3][0]) is Activated
    assert [model[0][1].momentum, model[2].eps] == [0.3, 1e-3]
    assert not model[4].affine
    assert [model[0][1].training, model[2].training] == [False, True]


def test_training_is_the_same_as_without_it(monkeypatch):
    """In one process SyncBN computes what BN does: three steps, converted after one or not."""
    on(monkeypatch, 2, 'cuda')
    results = []
    for converted in (False, True):
        model = build()
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
        step(model, optimizer)
        if converted:
            SyncBNHook().before_train(runner_of(model)[0])
        outputs = [step(model, optimizer) for _ in range(2)]
        results.append((outputs, model.state_dict(), optimizer.state_dict()))
    (outputs, state, momenta), (other_outputs, other_state, other_momenta) = results
    assert all(map(torch.equal, outputs, other_outputs))
    assert all(value.equal(other_state[name]) for name, value in state.items())
    assert state['0.1.num_batches_tracked'] == 0
    assert state['2.num_batches_tracked'] == 3
    for place, moments in momenta['state'].items():
        for name, value in moments.items():
            assert value.equal(other_momenta['state'][place][name])


def test_checkpoints_load_in_both_directions():
    plain, synchronised = build(), build()
    assert synchronise_batch_norms(synchronised) == 3
    assert synchronise_batch_norms(synchronised) == 0
    plain.load_state_dict(synchronised.state_dict())
    synchronised.load_state_dict(plain.state_dict())


@pytest.mark.parametrize(('processes', 'device'), [(1, 'cuda'), (2, 'cpu'), (1, 'cpu')])
def test_nothing_changes_without_several_gpus(monkeypatch, processes, device):
    model = build()
    modules = list(model.modules())
    on(monkeypatch, processes, device)
    runner, lines = runner_of(model)
    SyncBNHook().before_train(runner)
    assert all(now is before for now, before in zip(model.modules(), modules, strict=True))
    assert lines == [f'Batch norms are not synchronised ({processes} x {device})']


@pytest.mark.slow
def test_two_gloo_processes(tmp_path):
    done = call([sys.executable, CHILD, tmp_path, free_port()], tmp_path)
    assert done.stdout.count('(2 x cpu)') == 1
    report = json.loads(done.stdout.splitlines()[-1])
    assert report['wrapper'] == 'MMDistributedDataParallel'
    assert report['trained'] == 'BatchNorm2d'
    first, second = report['means']
    assert first != second  # each process keeps the statistics of its own images
    assert report['converted'] == 'SyncBatchNorm'
    assert report['same_parameters']
    assert report['losses'][0] != report['losses'][1]
    assert report['gradients'][0] == report['gradients'][1]
    assert min(report['moved']) > 0
