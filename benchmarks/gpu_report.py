"""What a card does with this package: one command, at most six minutes.

    python -m benchmarks.gpu_report             # work_dirs/gpu_report/report.json and report.md
    python -m benchmarks.gpu_report --quick     # two minutes: the rows that matter most
    python -m benchmarks.gpu_report --resume    # goes on with a report that was killed

Weights, pixels and pictures are random; nothing is read or downloaded. Rows run in the order of
their worth. A row that fails is written as its error and the others go on; a row that no longer
fits the time is named. Both files are written after each row. The reference mode is the first row
of its section: memory-efficient attention (`reference_mode.py`), fp16, AdamW that is not fused, its
own loader. ``--device cpu --micro`` runs all of it in tiny sizes, to test the script.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.gpu_bench import Bench, first_line
from benchmarks.gpu_rows import rows_of
from benchmarks.gpu_tables import markdown

MINUTES = dict(full=6.0, quick=2.0)
UNFINISHED = 'the process ended in this row'
GRACE = 20.0
"""Seconds a row that is broken off has to end."""


class Report:
    """Rows that are measured one after the other, each guarded, and the two files of them.

    Args:
        folder: Where `report.json` and `report.md` are written.
        seconds: Time for all rows together.
        resume: Whether rows of an earlier report are kept, with the time that they took; those
            that no longer fitted the time are measured.

    Attributes:
        rows: Section to name to figures, or to ``error`` or ``left out``.
    """

    def __init__(self, folder: Path, seconds: float, resume: bool = False) -> None:
        self.folder = folder
        self.seconds = seconds
        folder.mkdir(parents=True, exist_ok=True)
        self.rows: dict[str, dict[str, dict]] = {}
        self.started = time.time()
        if resume and (folder / 'report.json').is_file():
            earlier = json.loads((folder / 'report.json').read_text())
            self.started -= earlier['seconds']
            for section, rows in earlier['rows'].items():
                self.rows[section] = {k: row for k, row in rows.items() if 'left out' not in row}

    @property
    def left(self) -> float:
        """Seconds left."""
        return self.started + self.seconds - time.time()

    def run(self, row: Row) -> None:
        """Measure a row, unless it is there already or no longer fits the time."""
        section = self.rows.setdefault(row.section, {})
        if row.name in section:
            return
        if row.seconds > self.left:
            section[row.name] = {'left out': f'its {row.seconds:.0f} s no longer fit the time'}
        else:
            section[row.name] = dict(error=UNFINISHED)
            self.write()
            section[row.name] = guarded(row.run, limit=2 * row.seconds + 30)
        found, reference = section[row.name], section.get('reference', {})
        if row.name != 'reference' and 'ms' in found and 'ms' in reference:
            found['x reference'] = reference['ms'] / found['ms']
        self.write()
        outcome = found.get('error') or found.get('left out') or 'done'
        print(f'{row.section}: {row.name}: {outcome}', flush=True)

    def write(self) -> None:
        """Write both files, each complete or not at all."""
        content = dict(seconds=time.time() - self.started, rows=self.rows)
        texts = {'report.json': json.dumps(content, indent=1), 'report.md': markdown(content)}
        for name, text in texts.items():
            part = self.folder / f'{name}.part'
            part.write_text(text)
            part.replace(self.folder / name)


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        section: Title of its table.
        name: Of the row.
        seconds: What it takes at most on an H100, about.
        run: Gives its figures.
    """

    section: str
    name: str
    seconds: float
    run: Callable[[], dict]


def guarded(run: Callable[[], dict], limit: float) -> dict:
    """What a function gives with the seconds that it took, or its error in one sentence.

    Args:
        run: Gives the figures of a row.
        limit: Seconds after which it is broken off. A call that does not come back to Python, of a
            kernel say, ends the process ``GRACE`` seconds later; ``--resume`` goes on after it.
    """

    def end(*_: object) -> None:
        raise TimeoutError(f'it took more than {limit:.0f} s')

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(max(1, int(limit)))
    faulthandler.dump_traceback_later(limit + GRACE, exit=True)
    start = time.time()
    try:
        return run() | {'took': time.time() - start}
    except Exception as error:
        return dict(error=f'{type(error).__name__}: {first_line(error)}')
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def device_is_lost(device: str) -> bool:
    """Whether an error of a kernel left the device unusable for this process."""
    if device != 'cuda':
        return False
    gc.collect()  # what an error's frames held
    try:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
    except RuntimeError:
        return True
    return False


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--quick', action='store_true', help='the rows that matter most')
    parser.add_argument('--device', default='cuda', choices=['cuda', 'cpu'])
    parser.add_argument('--micro', action='store_true', help='tiny sizes, to test this script')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/gpu_report'))
    parser.add_argument(
        '--minutes', type=float, help='time for all rows, also earlier ones: 6, with --quick 2'
    )
    parser.add_argument('--only', nargs='+', metavar='TEXT', help='sections whose titles have it')
    parser.add_argument('--resume', action='store_true', help='keep the rows of an earlier report')
    args = parser.parse_args()
    if args.device == 'cuda' and not torch.cuda.is_available():
        parser.error('torch finds no CUDA device: give --device cpu --micro to test the script')
    return args


def main() -> None:
    """Measures row after row."""
    args = parse_args()
    minutes = args.minutes or MINUTES['quick' if args.quick else 'full']
    report = Report(args.out, 60 * minutes, args.resume)
    bench = Bench(args.device, args.micro, args.quick, report.rows)
    for section, name, seconds, run in rows_of(bench):
        if args.only and not any(text in section for text in args.only):
            continue
        report.run(Row(section, name, seconds, run))
        if device_is_lost(args.device):
            again = [word for word in sys.argv[1:] if word != '--resume']
            module = [sys.executable, '-m', 'benchmarks.gpu_report', *again, '--resume']
            os.execv(sys.executable, module)
    print(f'{report.folder / "report.md"}: {time.time() - report.started:.0f} s')


if __name__ == '__main__':
    logging.disable(logging.INFO)
    gc.freeze()  # the packages' objects: each row collects its own only
    main()
