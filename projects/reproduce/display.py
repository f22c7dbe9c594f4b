"""What is seen while jobs run: lines that stay, and below them a line per running job."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

STEP = re.compile(
    r'\((train|val|test)\) +(?:\[ *(\d+)\])?\[ *(\d+)/ *(\d+)\].*? eta: ((?:\d+ days?, )?[\d:]+)'
)
"""A line of mmengine's log: phase, epoch if it counts epochs, step, steps, time left."""
ATTEMPT = '\n$ '
"""Begins the command line in a log, which is that of all attempts."""
TAIL_BYTES = 8192


class Display:
    """Prints what happens.

    Args:
        stream: Where to; standard output by default.
        interval: Seconds between two looks at the running jobs where the stream is no terminal. On
            a terminal their lines are redrawn in place every second.
    """

    def __init__(self, stream: TextIO | None = None, interval: float = 30.0) -> None:
        self.stream = stream or sys.stdout
        self.in_place = self.stream.isatty()
        self.interval = 1.0 if self.in_place else interval
        self._due = time.monotonic() + self.interval
        self._drawn = 0

    def log(self, line: str) -> None:
        """Print a line that stays, at once."""
        self._erase()
        print(line, file=self.stream, flush=True)

    def show(self, lines: Iterable[str]) -> None:
        """Print the lines of the running jobs if it is time to; otherwise they are not even read.

        Args:
            lines: One per job.
        """
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + self.interval
        self._erase()
        width = shutil.get_terminal_size().columns - 1 if self.in_place else None
        shown = [line[:width] for line in lines]
        self.stream.writelines(f'{line}\n' for line in shown)
        self.stream.flush()
        self._drawn = len(shown) if self.in_place else 0

    def _erase(self) -> None:
        if self._drawn:
            self.stream.write(f'\x1b[{self._drawn}F\x1b[J')  # up so many lines, clear below
            self._drawn = 0


def read_progress(log: Path) -> str:
    """How far a job is, by the last step in its log; ``starting`` before the first one.

    Args:
        log: Output of a tool, each attempt after a line with its command.
    """
    with log.open('rb') as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        tail = file.read().decode(errors='replace')
    steps = STEP.findall(tail.rpartition(ATTEMPT)[2])
    if not steps:
        return 'starting'
    phase, epoch, step, total, left = steps[-1]
    return f'{phase}{f" epoch {epoch}," if epoch else ""} step {step}/{total}, {left} left'
