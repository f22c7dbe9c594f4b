"""The benchmark's step: the modes take the same step, and its table says what was measured."""

import json
import sys

import pytest
import torch

from benchmarks import distill_step
from benchmarks.counting import SHAPES, ViTShape
from benchmarks.distill_step import MODES, STAGES, Step, count, report
from tests.clip.micro_eva import write_micro_eva

MICRO = ViTShape(32, 2, 64, 2, 16, 8, eva02=True, native_tokens=17)


@pytest.fixture(scope='module')
def micro(tmp_path_factory):
    return write_micro_eva(tmp_path_factory.mktemp('distill_step') / 'eva')


def test_all_modes_take_the_same_step(micro):
    values, weights = [], []
    for mode in MODES:
        step = Step(micro, mode, size=48, crops=3)
        took = step.run()
        assert tuple(took) == STAGES
        step.run()
        values.append(step.value)
        weights.append(torch.cat([p.detach().flatten() for p in step.student.parameters()]))
    for value, weight in zip(values[1:], weights[1:], strict=True):
        torch.testing.assert_close(value, values[0])
        torch.testing.assert_close(weight, weights[0], rtol=1e-4, atol=1e-6)


def test_two_modes_share_weights_and_have_moments_of_their_own(micro):
    ours = Step(micro, 'ours', size=48, crops=3)
    reference = Step(micro, 'reference', size=48, crops=3, towers=ours.ours)
    pairs = zip(ours.student.parameters(), reference.student.parameters(), strict=True)
    assert all(one is other for one, other in pairs)
    assert ours.optimizer is not reference.optimizer
    assert len(reference.crops) == 20
    assert int(reference.valid.sum()) == 3


def test_the_table_by_hand():
    result = dict(
        flops=dict(teacher=1e12, forward=1e12, backward=2e12),
        optimizer_bytes=2e9,
        counted_bytes=2**31,
        seconds=dict(teacher=20.0, forward=25.0, backward=50.0, optimizer=0.5),
        step=95.5,
        share=0.41884,
        peak=3 * 2**30,
        before=2**29,
    )
    table = report('ours', result, dict(fp32=1e11, bf16=1e9, copy=8e9))
    found = [' '.join(line.split()) for line in table.splitlines()]
    assert found == [
        'ours: 4.00 TFLOP, about 2.0 GiB counted',
        'teacher 20.00 s 1000.0 GFLOP 50% of the rate',
        'forward 25.00 s 1000.0 GFLOP 40% of the rate',
        'backward 50.00 s 2000.0 GFLOP 40% of the rate',
        'optimizer 0.50 s 2.0 GB 50% of the rate',
        'step 95.50 s 42%',
        'peak 3.00 GiB, of which 0.50 GiB before anything was built',
    ]


def test_counts_of_the_modes():
    ours, checkpointing, reference = (count(mode, 'EVA02-B-16', 1024, 12) for mode in MODES)
    assert ours[0].teacher < reference[0].teacher
    assert ours[0].student_backward > reference[0].student_backward  # the weights made again
    assert checkpointing[0].student_backward > ours[0].student_backward
    assert checkpointing[1] < ours[1] < reference[1]


def test_the_command_writes_its_numbers(micro, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(SHAPES, micro, MICRO)
    monkeypatch.setattr(distill_step, 'ceilings', lambda: dict(fp32=1e11, bf16=1e9, copy=1e10))
    monkeypatch.setattr(distill_step, 'available_bytes', lambda: 2**32)
    file = tmp_path / 'step.json'
    arguments = ['--model', micro, '--size', '48', '--crops', '3', '--repeats', '1']
    monkeypatch.setattr(sys, 'argv', ['', *arguments, '--only', 'time', '--json', str(file)])
    distill_step.main()
    written = json.loads(file.read_text())
    assert set(written['modes']) == {'ours', 'reference'}
    ours = written['modes']['ours']
    assert ours['step'] == pytest.approx(sum(ours['seconds'].values()))
    assert ours['share'] == pytest.approx(sum(ours['flops'].values()) / ours['step'] / 1e11)
    assert 'times as fast as reference' in capsys.readouterr().out


def test_a_mode_that_does_not_fit_is_counted_only(monkeypatch, capsys):
    monkeypatch.setattr(distill_step, 'available_bytes', lambda: 10 * 2**20)
    monkeypatch.setattr(distill_step, 'ceilings', lambda: dict(fp32=1e11, bf16=1e9, copy=1e10))
    monkeypatch.setattr(sys, 'argv', ['', '--size', '1024'])
    distill_step.main()
    printed = capsys.readouterr().out
    assert printed.count('not run: no memory') == 2
    assert 'of its counted memory' in printed
