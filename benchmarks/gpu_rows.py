"""The rows of a GPU report in the order of their worth."""

from __future__ import annotations

import re
import sys
from functools import partial

from benchmarks import gpu_bench
from benchmarks.gpu_bench import B16, L14, TINY, Bench, Rows, machine
from benchmarks.gpu_detection import OV_COCO, OV_LVIS, detector_training_rows, prediction_rows
from benchmarks.gpu_distillation import distillation_rows, wrapped_rows
from benchmarks.gpu_training import loader_rows, training_rows

LATE = ('compiled', 'DDP', 'FSDP', 'all else in float32', 'torch, crops', 'multiples of 1')
"""Parts of the names of rows that come last: worth less, long, or with NCCL, which may hang."""


def rows_of(bench: Bench) -> Rows:
    """All rows that are to be measured."""
    first = next(title for title, *_ in sections(bench) if title.startswith('Distillation'))

    def is_late(row: tuple) -> bool:
        title, name, *_ = row
        if (title, name) == (first, f'{bench.half}, compiled'):  # of the aims
            return bench.quick
        return any(part in name for part in LATE)

    yield from sorted(sections(bench), key=is_late)


def sections(bench: Bench) -> Rows:
    """The rows by section."""
    small, large = (TINY, None) if bench.micro else (B16, L14)
    full = not bench.quick
    yield 'Machine', 'rates', 5, partial(machine, bench)
    yield 'Self-check', 'pytest -m gpu', 30 if bench.quick else 90, partial(self_check, bench)
    yield from distillation_rows(bench, small, 2)
    yield from training_rows(bench)
    yield from prediction_rows(bench, 8)
    yield from detector_training_rows(bench, OV_COCO, '640 px, batch 8', 8)
    if full:
        yield from wrapped_rows(bench)
    yield from loader_rows(bench)
    if full and large:
        yield from distillation_rows(bench, small, 8)
        yield from distillation_rows(bench, large, 2)
    if full:
        yield from detector_training_rows(bench, OV_LVIS, '1024 px with masks, batch 2', 2)
    if full and large:
        yield from prediction_rows(bench, 1)
        yield from distillation_rows(bench, large, 8)


def self_check(bench: Bench) -> dict:
    """What pytest says of the tests that need a card."""
    bench.free()
    tests = 'tests/gpu/test_towers_on_cuda.py' if bench.quick or bench.micro else 'tests/gpu'
    text, _ = gpu_bench.called(
        [sys.executable, '-m', 'pytest', '-m', 'gpu', '-q', '-s', tests], 180
    )
    for line in text.splitlines():
        print('   ', line)
    ends = re.findall(r'^(?:=+ )?((?:\d+ \w+(?:, )?)+) in [\d.]+', text, re.MULTILINE)
    counts = re.findall(r'(\d+) (\w+)', ends[-1]) if ends else ()
    result = {word: int(count) for count, word in counts}
    failed = re.findall(r'^(?:FAILED|ERROR) (.+)$', text, re.MULTILINE)
    if failed or not ends:
        result['error'] = '; '.join(failed)[:2000] or (text.splitlines() or [''])[-1]
    return result
