"""A work dir has one training at a time, and a killed one leaves it free."""

import fcntl
import os
import signal
import socket
from types import SimpleNamespace

import pytest

from clipself_mm.hooks import WorkDirLockHook


def runner_in(folder):
    warnings = []
    logger = SimpleNamespace(warning=warnings.append)
    return SimpleNamespace(work_dir=str(folder), logger=logger, warnings=warnings)


@pytest.fixture
def other(tmp_path):
    """A process that trains in the folder; it has a data loader worker of its own."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        hook = WorkDirLockHook()
        hook.before_train(runner_in(tmp_path))
        worker = os.fork()
        if worker:
            os.write(writer, worker.to_bytes(4, 'little'))
        signal.pause()
    worker = int.from_bytes(os.read(reader, 4), 'little')
    yield pid
    os.kill(worker, signal.SIGKILL)


def test_a_second_run_names_the_first_and_may_start_after_its_death(other, tmp_path):
    second = WorkDirLockHook()
    host = socket.gethostname()
    with pytest.raises(RuntimeError, match=f'{tmp_path}: process {other} on host {host} trains'):
        second.before_train(runner_in(tmp_path))
    os.kill(other, signal.SIGKILL)
    os.waitpid(other, 0)
    WorkDirLockHook().before_train(runner_in(tmp_path))  # its worker still runs


def test_a_run_that_ended_frees_its_work_dir(tmp_path):
    runner, hook = runner_in(tmp_path), WorkDirLockHook()
    hook.before_train(runner)
    hook.after_train(runner)
    child = os.fork()
    if child == 0:
        try:
            WorkDirLockHook().before_train(runner)
        except RuntimeError:
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_file_system_without_locks_gets_a_warning(tmp_path, monkeypatch):
    def refuse(file, flags):
        raise OSError(37, 'No locks available')

    monkeypatch.setattr(fcntl, 'lockf', refuse)
    runner = runner_in(tmp_path)
    WorkDirLockHook().before_train(runner)
    assert 'No locks available' in runner.warnings[0]
