"""A training killed at any stage of saving and resumed ends with the same weights."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.fileio import LocalBackend, register_backend
from mmengine.logging import MessageHub, MMLogger

from clipself_mm.hooks.durable_checkpoint_hook import DurableCheckpointHook, DurableLocalBackend
from clipself_mm.io.atomic_write import PARTIAL
from tests.commands import call

CHILD = Path(__file__).with_name('kill_matrix.py')
STEPS = {'epoch': ('epoch_1', 'epoch_2', 'epoch_3'), 'iteration': ('iter_3', 'iter_6', 'iter_9')}


@pytest.mark.slow
@pytest.mark.parametrize('loop', STEPS)
def test_killed_at_every_stage_of_saving(loop, tmp_path):
    done = call([sys.executable, CHILD, loop, tmp_path], tmp_path)
    unbroken, *rows = json.loads(done.stdout.splitlines()[-1])  # mmdet may print before
    first, second, last = STEPS[loop]
    final = {'last_checkpoint', 'last_validation', f'{last}.pth', f'best_toy_acc_{last}.pth'}
    assert set(checkpoints(unbroken['after'])) == final
    assert len(rows) == 10
    for row in rows:
        moment = row['moment']
        assert row['end'] == -9, moment
        assert row['resumed'] == 0, moment
        killed, after = row['killed'], row['after']
        # No checkpoint is ever in pieces, and the pointer names one that stands.
        assert killed['broken'] == after['broken'] == [], moment
        if not moment.endswith(' 0'):
            assert killed['pointer'] in killed['files'], moment
            assert killed['pointer'] in (f'{first}.pth', f'{second}.pth'), moment
            # The previous best goes only after everything else is written.
            assert f'best_toy_acc_{first}.pth' in killed['files'], moment
        if moment in ('half 5', 'stall 5', 'whole 5', 'half 6'):
            assert f'{first}.pth' in killed['files'], moment
        written_half = [name for name in killed['files'] if name.endswith(PARTIAL)]
        assert len(written_half) == (not moment.startswith('whole')), moment
        assert set(checkpoints(after)) == final, moment
        assert row['weights'] == unbroken['weights'], moment


def checkpoints(disk):
    return [name for name in disk['files'] if not name.endswith(('.py', '.log'))]


def hook_before_train(work_dir, **settings):
    runner = SimpleNamespace(
        work_dir=str(work_dir),
        message_hub=MessageHub.get_instance(f'hub {work_dir}'),
        logger=MMLogger.get_current_instance(),
    )
    hook = DurableCheckpointHook(**settings)
    hook.before_train(runner)
    return hook, runner


def test_partial_files_are_deleted_when_training_starts(tmp_path):
    mine = tmp_path / f'epoch_1.pth{PARTIAL}'
    foreign = tmp_path / 'epoch_1.pth.part'
    for path in (mine, foreign):
        path.write_bytes(b'half')
    hook, _ = hook_before_train(tmp_path)
    assert not mine.exists()
    assert foreign.exists()
    assert isinstance(hook.file_backend, DurableLocalBackend)


def test_outdated_checkpoints_of_a_killed_run_are_deleted(tmp_path):
    work_dir, elsewhere = tmp_path / 'run', tmp_path / 'epoch_2.pth'
    work_dir.mkdir()
    for path in (work_dir / 'epoch_2.pth', work_dir / 'epoch_3.pth', elsewhere):
        path.write_bytes(b'weights')
    hub = MessageHub.get_instance(f'hub {work_dir}')
    hub.update_info('outdated_ckpts', ['epoch_2.pth', 'epoch_9.pth'])
    hook_before_train(work_dir)
    assert sorted(path.name for path in work_dir.iterdir()) == ['epoch_3.pth']
    assert elsewhere.exists()


def test_other_folder_for_checkpoints(tmp_path):
    work_dir, out_dir = tmp_path / 'run', tmp_path / 'store'
    (out_dir / 'run').mkdir(parents=True)
    leftover = out_dir / 'run' / f'epoch_1.pth{PARTIAL}'
    leftover.write_bytes(b'half')
    hook, _ = hook_before_train(work_dir, out_dir=str(out_dir))
    assert hook.out_dir == str(out_dir / 'run')
    assert not leftover.exists()


def test_other_backends_are_left_to_mmengine(tmp_path):
    class Remote(LocalBackend):
        """A remote backend, selected by a prefix."""

    register_backend('toy_remote', Remote, force=True)
    hook, _ = hook_before_train(tmp_path, backend_args={'backend': 'toy_remote'})
    assert hook.backend_args == {'backend': 'toy_remote'}
    assert type(hook.file_backend) is Remote
