"""A training killed at any stage of saving and resumed ends with the same weights."""

import inspect
import json
import os
import signal
import sys
import uuid
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.config import config as config_module
from mmengine.fileio import LocalBackend, register_backend
from mmengine.logging import MessageHub, MMLogger
from mmengine.runner import Runner
from yapf.yapflib import reformatter, yapf_api

from clipself_mm.hooks.durable_checkpoint_hook import DurableCheckpointHook, DurableLocalBackend
from clipself_mm.io.atomic_write import PARTIAL
from tests.commands import call
from tests.tools.toy_task import CONFIG

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


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'save_bset': 'acc'}, r"no argument 'save_bset', nearest is save_best; it has interval,"),
        ({'interval': 'x'}, "int for interval, got 'x'"),
        ({'max_keep_ckpts': 2.0}, 'int for max_keep_ckpts, got 2.0'),
        ({'interval': True}, 'int for interval, got True'),
        ({'by_epoch': 'no'}, "bool for by_epoch, got 'no'"),
    ],
)
def test_unknown_and_wrong_arguments_raise(settings, message):
    with pytest.raises(TypeError, match=message):
        DurableCheckpointHook(**settings)


@pytest.fixture
def validate(tmp_path):
    """Gives a checkpoint hook the metrics of a validation; the best files and warnings so far."""
    runner = SimpleNamespace(
        work_dir=str(tmp_path),
        message_hub=MessageHub.get_instance(f'hub {uuid.uuid4().hex}'),
        logger=SimpleNamespace(info=lambda text: None, warning=lambda text: warnings.append(text)),
        val_evaluator=SimpleNamespace(metrics=[SimpleNamespace(ann_file='own/val.json')]),
        epoch=0,
        iter=0,
        save_checkpoint=lambda folder, filename, **more: Path(folder, filename).touch(),
    )
    warnings, hooks = [], {}

    def run(metrics, **settings):
        settings = {'save_best': 'coco/novel_ap50', 'rule': 'greater', **settings}
        if 'hook' not in hooks:
            hooks['hook'] = DurableCheckpointHook(**settings)
            hooks['hook'].before_train(runner)
        runner.epoch += 1
        hooks['hook'].after_val_epoch(runner, metrics)
        return sorted(path.name for path in tmp_path.glob('best_*')), warnings

    run.score = lambda: runner.message_hub.runtime_info['best_score']
    return run


@pytest.mark.parametrize('nothing', [-1, -1.0, np.float64(-1), float('nan')])
def test_a_value_of_nothing_is_never_the_best_and_told_once(validate, nothing):
    metrics = {'coco/novel_ap50': nothing, 'coco/base_ap50': 0.3, 'coco/novel_ap': nothing}
    assert validate(metrics)[0] == []
    files, (warning,) = validate(metrics)
    assert files == []
    assert 'coco/novel_ap50 is' in warning
    assert 'annotated in own/val.json' in warning
    assert 'nearest is coco/base_ap50' in warning
    assert validate({**metrics, 'coco/novel_ap50': 0.0})[0] == ['best_coco_novel_ap50_epoch_3.pth']
    assert validate(metrics)[0] == ['best_coco_novel_ap50_epoch_3.pth']
    assert validate.score() == 0.0
    files, warnings = validate({**metrics, 'coco/novel_ap50': 0.1})
    assert files == ['best_coco_novel_ap50_epoch_5.pth']
    assert len(warnings) == 1


def test_less_than_nothing_may_be_the_best_of_a_loss(validate):
    settings = {'save_best': 'log_likelihood_loss', 'rule': 'less'}
    assert validate({'log_likelihood_loss': -1.0}, **settings)[0] != []


@pytest.mark.parametrize('save_best', ['auto', ['coco/novel_ap50', 'coco/base_ap50']])
def test_nothing_among_several_keys(validate, save_best):
    metrics = {'coco/novel_ap50': -1.0, 'coco/base_ap50': 0.3}
    files, (warning,) = validate(metrics, save_best=save_best)
    assert files == ([] if save_best == 'auto' else ['best_coco_base_ap50_epoch_1.pth'])
    assert 'coco/novel_ap50 is -1' in warning


CTRL_C = """
default_hooks = dict(checkpoint=dict(type='DurableCheckpointHook'))
custom_imports = dict(imports=['clipself_mm', 'tests.tools.toy_task'])
"""


@pytest.fixture
def ctrl_c(monkeypatch):
    """Sends SIGINT while mmengine formats a config, in a function of the given name."""
    # Each text is formatted anew, not once a process as elsewhere in the tests.
    format_code = yapf_api.FormatCode.__wrapped__
    for module in (yapf_api, config_module):
        monkeypatch.setattr(module, 'FormatCode', format_code, raising=False)

    def arm(name):
        def signalled(*args, **kwargs):
            if any(frame.function == name for frame in inspect.stack()):
                os.kill(os.getpid(), signal.SIGINT)
            return reformat(*args, **kwargs)

        reformat = reformatter.Reformat
        monkeypatch.setattr(reformatter, 'Reformat', signalled)

    # A shell's job in the background ignores SIGINT, and so would its child processes.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield arm
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A config file."""
    monkeypatch.delenv('LOCAL_RANK', raising=False)
    path = tmp_path / 'toy.py'
    path.write_text(CONFIG.replace('RUN', uuid.uuid4().hex) + CTRL_C)
    return path


def test_ctrl_c_at_the_start_is_no_syntax_error(toy, ctrl_c, run_tool, tmp_path):
    ctrl_c('dump_config')
    with pytest.raises(KeyboardInterrupt):
        run_tool('train', toy, '--work-dir', tmp_path / 'w')


def test_ctrl_c_in_a_save_is_no_syntax_error_in_any_tool(toy, ctrl_c, tmp_path):
    ctrl_c('save_checkpoint')
    config = Config.fromfile(toy)
    config.work_dir = str(tmp_path / 'w')
    runner = Runner.from_cfg(config)
    with pytest.raises(KeyboardInterrupt):
        runner.train()
