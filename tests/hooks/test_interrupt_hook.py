"""A signalled training ends with a complete checkpoint and resumes to the unbroken weights."""

import json
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch.utils.data import DataLoader

from clipself_mm.hooks import DelayedRuntimeInfoHook, InterruptHook, processes
from clipself_mm.hooks.host_copy import HostCopy
from clipself_mm.hooks.interrupt_hook import _init_worker, remaining_batches
from tests.commands import call

CHILD = Path(__file__).with_name('interrupt_matrix.py')
INTERRUPTED = 'interrupted.pth'


@pytest.mark.slow
@pytest.mark.parametrize('loop', ['epoch', 'iteration'])
def test_a_signal_at_any_step(loop, tmp_path):
    done = call([sys.executable, CHILD, loop, tmp_path], tmp_path)
    unbroken, *rows = json.loads(done.stdout.splitlines()[-1])
    assert [row['end'] for row in rows] == [128 + signal.SIGUSR1, 143, 143, 143]
    for row in rows:
        # By iteration, the regular checkpoint of steps 6 and 9 is complete as well.
        regular = loop == 'iteration' and row['step'] % 3 == 0
        expected = f'iter_{row["step"]}.pth' if regular else INTERRUPTED
        assert row['signalled']['pointer'] == expected
        assert row['signalled']['broken'] == []
        assert row['resumed'] == 0
        assert row['weights'] == unbroken['weights'], row['step']
        assert INTERRUPTED not in row['after']['files']


@pytest.mark.parametrize('workers', [0, 2])
def test_the_rest_of_an_epoch_is_what_was_left(workers):
    loader = DataLoader(
        torch.arange(10),
        batch_size=3,
        num_workers=workers,
        persistent_workers=workers > 0,
        sampler=[7, 3, 1, 9, 0, 2, 4, 8, 6, 5],
    )
    rest = remaining_batches(loader, 2)
    assert len(rest) == 2
    assert [batch.tolist() for batch in rest] == [[4, 8, 6], [5]]
    assert [batch.tolist() for batch in loader][:1] == [[7, 3, 1]]
    assert list(remaining_batches(loader, 4)) == []


def test_a_half_accumulated_gradient_is_not_left_behind():
    """With two batches an update, the signal in the first one ends training after the second."""
    weight = torch.nn.Parameter(torch.ones(()))
    wrapper = OptimWrapper(torch.optim.SGD([weight], 0.1), accumulative_counts=2)
    wrapper.initialize_count_status(torch.nn.Linear(1, 1), 0, 8)
    hook = InterruptHook()
    hook._receive(signal.SIGTERM, None)
    runner = SimpleNamespace(optim_wrapper=wrapper, epoch=0, iter=0, train_loop=None, hooks=[])
    wrapper.update_params(weight * 2)
    hook.after_train_iter(runner, 0)
    wrapper.update_params(weight * 2)
    with pytest.raises(StopIteration):  # it looks for the checkpoint hook
        hook.after_train_iter(runner, 1)


def test_processes_on_devices_end_together_a_step_later(monkeypatch):
    """The other process has the signal; its number is read when the next step is queued."""
    monkeypatch.setattr(HostCopy, 'is_worthwhile', staticmethod(lambda values: True))
    monkeypatch.setattr(processes, 'get_world_size', lambda: 2)
    monkeypatch.setattr(processes, 'get_comm_device', lambda: torch.device('cpu'))
    monkeypatch.setattr(
        processes, 'all_reduce', lambda number, op: number.clamp_(min=signal.SIGTERM)
    )
    hook = InterruptHook()
    runner = SimpleNamespace(
        optim_wrapper=None,
        epoch=0,
        iter=0,
        train_loop=None,
        train_dataloader=range(9),
        hooks=[DelayedRuntimeInfoHook()],
    )
    hook.after_train_iter(runner, 0)
    with pytest.raises(StopIteration):  # it looks for the checkpoint hook
        hook.after_train_iter(runner, 1)
    last = InterruptHook()
    with pytest.raises(StopIteration):  # a validation may follow
        last.after_train_iter(runner, 8)


def test_workers_outlive_the_signals_of_a_scheduler_and_end_with_their_process():
    """Another process sends SIGTERM, as slurm does to all processes of a step."""
    loader = DataLoader(
        torch.arange(8),
        num_workers=1,
        prefetch_factor=1,
        worker_init_fn=partial(_init_worker, None),
    )
    batches = iter(loader)
    assert next(batches).tolist() == [0]
    (worker,) = batches._workers
    for name in ('TERM', 'USR1'):
        subprocess.run(['kill', f'-{name}', str(worker.pid)], check=True)
    assert [batch.item() for batch in batches] == list(range(1, 8))
    loader = DataLoader(torch.arange(8), num_workers=1, worker_init_fn=partial(_init_worker, None))
    batches = iter(loader)
    next(batches)
    (worker,) = batches._workers
    worker.terminate()
    worker.join(10)
    assert worker.exitcode == 0
