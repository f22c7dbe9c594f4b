"""The report of a card, in tiny sizes on the processor: every row runs, is guarded, is written."""

import json
import os
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import gpu_bench, gpu_report
from benchmarks.gpu_report import Report, Row
from benchmarks.gpu_rows import rows_of
from benchmarks.gpu_tables import markdown
from tests.commands import ROOT, TORCH
from tests.forks import Fork


def called_in_a_fork(command, limit):
    """What `called` does, without the seconds of imports."""
    words = command[1:]
    if words[0] == '-m':
        words = [str(Path(sys.modules[words[1]].__file__).parent / '__main__.py'), *words[2:]]
    done = Fork(words, ROOT).wait(limit)
    return done.stdout + done.stderr, done.returncode


@pytest.mark.slow
def test_the_report_runs_end_to_end(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_bench, 'called', called_in_a_fork)
    words = ['gpu_report', '--device', 'cpu', '--micro', '--out', str(tmp_path)]
    monkeypatch.setattr(sys, 'argv', words)
    gpu_report.main()
    rows = json.loads((tmp_path / 'report.json').read_text())['rows']
    errors = {
        name: row['error'] for part in rows.values() for name, row in part.items() if 'error' in row
    }
    expected = {'FSDP'}  # torch has none on a processor
    if TORCH < (2, 4):
        expected |= {'device, which decodes too'}  # one file at a time there
    assert set(errors) <= expected, errors
    assert rows['Self-check']['pytest -m gpu']['skipped'] == 12
    text = (tmp_path / 'report.md').read_text()
    assert f'| rates | {rows["Machine"]["rates"]["date"]} |' in text
    step = rows['Distillation, B/16, micro, batch 2']
    assert step['bfloat16']['x reference'] == step['reference']['ms'] / step['bfloat16']['ms']
    assert len(step['bfloat16']['kernels']) == 10
    assert 0 < step['bfloat16']['share'] < 1
    for section in rows:
        assert f'## {section}' in text
    assert 'not measured' not in text
    training = next(part for title, part in rows.items() if title.startswith('Training'))
    trained = training['device, crops in multiples of 8']
    over = trained['ms'] / step['bfloat16']['ms'] - 1
    assert trained['over the bare step'] == pytest.approx(over)
    loaders = next(part for title, part in rows.items() if title.startswith('Loaders'))
    eaten = loaders['pillow']['images/s'] / step['bfloat16']['images/s']
    assert loaders['pillow']['x the bare step'] == pytest.approx(eaten)


def failing():
    raise torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate\nmuch')


def test_a_row_that_fails_is_its_error_and_the_others_go_on(tmp_path):
    report = Report(tmp_path, seconds=60)
    report.run(Row('A', 'reference', 1, lambda: dict(ms=4.0)))
    report.run(Row('A', 'broken', 1, failing))
    report.run(Row('A', 'long', 90, lambda: dict(ms=1.0)))
    report.run(Row('A', 'good', 1, lambda: dict(ms=2.0)))
    text = (tmp_path / 'report.md').read_text()
    assert '| good | 2 | 2 |' in text
    assert '- broken: OutOfMemoryError: CUDA out of memory. Tried to allocate\n' in text
    assert '- long: its 90 s no longer fit the time' in text


def test_a_row_that_takes_too_long_is_broken_off():
    def endless():
        while True:
            pass

    assert gpu_report.guarded(endless, limit=1) == {'error': 'TimeoutError: it took more than 1 s'}


def test_a_row_that_hangs_outside_python_ends_the_process_and_the_report_goes_on(tmp_path):
    script = tmp_path / 'hang.py'
    script.write_text(
        'import signal, sys, time\n'
        'from pathlib import Path\n'
        'from benchmarks import gpu_report\n'
        'def hang():\n'
        '    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})\n'
        '    time.sleep(120)\n'
        'gpu_report.GRACE = 0.5\n'  # and a limit of 2 x -14.5 + 30 s
        "gpu_report.Report(Path(sys.argv[1]), 60).run(gpu_report.Row('A', 'hung', -14.5, hang))\n"
    )
    done = Fork([script, tmp_path], ROOT).wait(60)
    assert done.returncode == 1
    assert 'Timeout' in done.stderr
    report = Report(tmp_path, seconds=60, resume=True)
    for name in ('hung', 'next'):
        report.run(Row('A', name, 1, lambda: dict(ms=7.0)))
    assert report.rows['A']['hung'] == dict(error=gpu_report.UNFINISHED)
    assert report.rows['A']['next']['ms'] == 7.0


def test_a_killed_report_goes_on(tmp_path):
    first = Report(tmp_path, seconds=60)
    first.run(Row('A', 'done', 1, lambda: dict(ms=1.0)))

    def killed():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        first.run(Row('A', 'killer', 1, killed))
    second = Report(tmp_path, seconds=60, resume=True)
    for name in ('done', 'killer', 'next'):
        second.run(Row('A', name, 1, lambda: dict(ms=7.0)))
    assert second.rows['A']['done']['ms'] == 1.0
    assert second.rows['A']['killer'] == dict(error=gpu_report.UNFINISHED)
    assert second.rows['A']['next']['ms'] == 7.0


def test_a_report_that_goes_on_counts_the_time_of_its_rows(tmp_path, monkeypatch):
    """Not the time between: rows that did not fit are measured when there are more minutes."""
    now = 1000.0
    monkeypatch.setattr(gpu_report.time, 'time', lambda: now)
    first = Report(tmp_path, seconds=60)
    now += 50
    first.run(Row('A', 'long', 20, lambda: dict(ms=1.0)))
    assert 'left out' in first.rows['A']['long']
    now += 3600
    assert Report(tmp_path, seconds=60, resume=True).left == 10
    second = Report(tmp_path, seconds=90, resume=True)
    second.run(Row('A', 'long', 20, lambda: dict(ms=1.0)))
    assert second.rows['A']['long']['ms'] == 1.0


@pytest.mark.parametrize(
    ('error', 'said'),
    [
        (
            RuntimeError('CUPTI_ERROR_INSUFFICIENT_PRIVILEGES\nmore'),
            'CUPTI_ERROR_INSUFFICIENT_PRIVILEGES',
        ),
        (AssertionError(), 'AssertionError'),
    ],
)
def test_figures_outlive_a_profiler_that_fails(error, said, monkeypatch):
    def broken(*_):
        raise error

    monkeypatch.setattr(gpu_bench, 'profile_of', broken)
    bench = gpu_bench.Bench('cpu', micro=True, quick=False, rows={})
    found = bench.profiled(dict(ms=2.0), lambda: None)
    assert found == dict(ms=2.0, error=f'no profile: {said}')
    assert '| float16 | 2 |' in markdown(dict(seconds=1.0, rows={'A': {'float16': found}}))


@pytest.mark.skipif(not hasattr(os, 'sched_getaffinity'), reason='only Linux limits cores')
def test_what_a_training_starts_has_as_many_cores_as_its_title_says():
    before = os.sched_getaffinity(0)
    count = [sys.executable, '-c', 'import os; print(len(os.sched_getaffinity(0)))']
    with gpu_bench.limited_cores(1):
        assert gpu_bench.called(count, 60) == ('1\n', 0)
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize('quick', [False, True])
def test_rows_of_less_worth_come_last(quick):
    rows = [row[:2] for row in rows_of(gpu_bench.Bench('cuda', False, quick, {}))]
    assert len(set(rows)) == len(rows)
    assert 'rates' in rows[0]
    references = [number for number, row in enumerate(rows) if row[1] == 'reference']
    for number in references:  # the others are held against it
        assert all(title != rows[number][0] for title, _ in rows[:number])
    compiled = [number for number, (_, name) in enumerate(rows) if 'compiled' in name]
    assert len(compiled) == (1 if quick else 8)
    assert all(number > references[-1] for number in compiled[not quick :])


def test_aims_by_hand():
    rows = {
        'Distillation, B/16, 1024 px, batch 2': {
            'reference': {'ms': 30.0, 'share': 0.6},
            'float16': {'ms': 20.0, 'share': 0.46, 'x reference': 1.5},
        },
        'Training, B/16': {'torch': {'over the bare step': 0.2}},
    }
    text = markdown(dict(seconds=1.0, rows=rows))
    found = [line for line in text.splitlines() if '| >=' in line or '| <=' in line]
    assert [line.split(' | ')[-1] for line in found] == [
        *('yes |', 'yes |', 'not measured |', 'no |', 'not measured |', 'not measured |')
    ]
