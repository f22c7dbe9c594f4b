"""Rates are work over the shortest time."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import machine
from tests.commands import ROOT


def test_rates_by_a_clock_of_ones_own(monkeypatch):
    """The clock goes 0, 2, 10, 11: 2 s, then 1 s, so that 2 x 4^3 FLOP take 1 s."""
    ticks = iter([0.0, 2.0, 10.0, 11.0, 20.0, 24.0, 30.0, 32.0])
    monkeypatch.setattr(machine, 'clock', lambda: next(ticks))
    assert machine.matrix_rate(size=4, repeats=2) == 128
    # 1 MB read and written in 2 s.
    assert machine.copy_rate(megabytes=1, repeats=2) == 1e6


def test_one_run_warms_up_and_is_not_measured():
    calls = []
    assert machine.seconds_of(lambda: calls.append(0), repeats=3) >= 0
    assert len(calls) == 4


def test_the_clock_is_processor_time_with_one_thread(monkeypatch):
    monkeypatch.setattr(machine.time, 'process_time', lambda: 1.0)
    monkeypatch.setattr(machine.time, 'perf_counter', lambda: 2.0)
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 1)
    assert machine.clock() == 1.0
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 2)
    assert machine.clock() == 2.0


def test_available_memory_is_some_and_not_more_than_there_is():
    lines = Path('/proc/meminfo').read_text().splitlines()
    total = next(int(line.split()[1]) * 1024 for line in lines if line.startswith('MemTotal'))
    assert 0 < machine.available_bytes() <= total


PEAKS = """
import torch
from benchmarks.machine import peak_bytes
peaks = [peak_bytes()]
held = torch.ones(2**25 + peaks[0] // 4)  # more than all there was
peaks.append(peak_bytes())
del held
print(*peaks, peak_bytes())
"""


@pytest.mark.slow
def test_the_peak_grows_by_what_is_held_and_stays():
    """In a process of its own, whose peak is that of no other test."""
    done = subprocess.run(
        [sys.executable, '-c', PEAKS], cwd=ROOT, check=True, capture_output=True, text=True
    )
    before, held, after = map(int, done.stdout.split())
    assert held - before >= 2**27
    assert after >= held - 2**22  # the system counts in batches of pages
