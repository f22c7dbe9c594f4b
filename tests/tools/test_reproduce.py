"""The command line of the driver; what it drives is tested beside it."""

import sys

import pytest

from projects.reproduce import TABLES, Reproduction
from tests.commands import load_tool


@pytest.fixture
def reproduce(monkeypatch, tmp_path):
    """Runs tools/reproduce.py's main in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, 'argv', ['reproduce.py', *map(str, words)])
        return load_tool('reproduce').main()

    return run


def test_dry_run_prints_commands_and_writes_nothing(reproduce, tmp_path, capsys):
    assert reproduce('1a', '2', '--shapes', '--dry-run', '--seeds', 1) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '# evaluate_panoptic_original'
    assert '# patches_seed1' in lines
    assert lines.count('# patches_seed1') == 1
    assert any(f'data_root={tmp_path}/data/shapes_ov/' in line for line in lines)
    assert any(f'--work-dir {tmp_path}/work_dirs/reproduce/patches_seed1 ' in s for s in lines)
    assert list(tmp_path.iterdir()) == []


def test_without_shapes_the_real_configs_go_through_the_launch_scripts(reproduce, capsys):
    assert reproduce('3a', '--dry-run', '--gpus', 4) == 0
    commands = [line for line in capsys.readouterr().out.splitlines() if not line.startswith('#')]
    spread = [line for line in commands if 'tools/dist_' in line]
    assert any('fvit_eva02-b16_8xb8-3e_ov-coco.py 4 ' in line for line in spread)
    (patches, proposals) = (line for line in commands if line not in spread)  # on one GPU
    assert 'tools/train.py' in patches
    assert 'clipself_eva02-b16_proposals_1xb2-44k_coco.py' in proposals


def test_proposals_of_others_are_checked_before_anything_else(reproduce, shapes, capsys):
    options = ['2', '--shapes', '--data-root', shapes, '--dry-run', '--proposals']
    with pytest.raises(FileNotFoundError, match=r'none\.json'):
        reproduce(*options, 'none.json')
    given = shapes / 'annotations/instances_train.json'
    assert reproduce(*options, given) == 0
    text = capsys.readouterr().out
    assert f'train_dataloader.dataset.ann_file={given.resolve()}' in text
    assert 'propose' not in text.replace('--proposals', '')


@pytest.mark.parametrize(('complete', 'code'), [(True, 0), (False, 1)])
def test_exit_code_tells_whether_all_runs_are_done(
    reproduce, shapes, tmp_path, monkeypatch, complete, code
):
    seen = []

    def execute(self, out):
        seen.append((out, len(self.tables), self.queue.jobs, self.context.epochs))
        return complete

    monkeypatch.setattr(Reproduction, 'execute', execute)
    options = ['--data-root', shapes, '--jobs', 2, '--epochs', 3, '--out', 'here']
    assert reproduce('all', '--shapes', *options) == code
    assert seen == [(tmp_path / 'here', len(TABLES), 2, 3)]


def test_gpus_are_for_runs_on_real_data(reproduce, capsys):
    with pytest.raises(SystemExit):
        reproduce('1a', '--shapes', '--gpus', 2)
    assert '--gpus' in capsys.readouterr().err.splitlines()[-1]  # behind the usage


@pytest.mark.parametrize(
    ('words', 'text'),
    [
        (('5', '6', '--gpus', 8), '5, 6: measured with --shapes only'),
        (('6', '1a', '--shapes', '--epochs', 2), 'trainings of 6 count iterations'),
    ],
)
def test_segmentation_is_in_miniature_and_at_full_length(reproduce, capsys, words, text):
    with pytest.raises(SystemExit):
        reproduce(*words)
    assert text in capsys.readouterr().err.splitlines()[-1]


def test_jobs_are_for_one_machine_without_gpus(reproduce, capsys):
    with pytest.raises(SystemExit):
        reproduce('1a', '--jobs', 2)
    assert '--shapes' in capsys.readouterr().err.splitlines()[-1]
