"""Makes runs in the order of their needs, some at a time; what fails stops only what needs it."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from .display import Display, read_progress
from .run import Run

LOG = 'log.txt'
LOCK = 'lock'


class Started(NamedTuple):
    """A run in progress, and the places that it takes."""

    run: Run
    process: subprocess.Popen
    places: list[int]
    seconds: float
    since: float


def _progress_line(started: Started) -> str:
    return f'  {started.run.id}: {read_progress(started.run.folder / LOG)}'


class JobQueue:
    """Makes all runs that are asked for, and those they need, each once.

    A run that is done already is left alone, one that was killed goes on from its last checkpoint.
    Output goes to ``log.txt`` in the run's folder.

    Args:
        runs: What is asked for, in the order of its importance.
        jobs: Runs at a time; each has its share of the machine's cores. With GPUs, these are the
            places instead, and runs of one GPU stand side by side.
        display: Shows each run that starts, goes on or ends.
        measured: Called after each run that ends well.
        threads: Of each run, in place of its share of the cores.
        keeps_going: Whether a failure leaves the runs that do not need the failed one; otherwise it
            ends them all.

    Attributes:
        runs: All runs by id, needed ones before those that need them.
        results: What runs that are done have left, by id.
        problems: Why a run is not done, by id.
    """

    def __init__(
        self,
        runs: Iterable[Run],
        jobs: int = 1,
        display: Display | None = None,
        measured: Callable[[Run], object] = lambda run: None,
        threads: int | None = None,
        keeps_going: bool = True,
    ) -> None:
        if jobs < 1:
            raise ValueError(f'jobs is at least 1, got {jobs}')
        self.runs: dict[str, Run] = {}
        for run in runs:
            self._add(run)
        self.jobs = jobs
        self.display = display or Display()
        self.measured = measured
        self.threads = threads
        self.keeps_going = keeps_going
        self.results: dict[str, dict[str, Any]] = {}
        self.problems: dict[str, str] = {}

    def _add(self, run: Run) -> None:
        for needed in run.needs.values():
            self._add(needed)
        other = self.runs.setdefault(run.id, run)
        if other.setup != run.setup:
            raise ValueError(f'two different experiments are called {run.experiment.name}')

    def execute(self) -> bool:
        """Make the runs.

        Returns:
            Whether all of them are done.

        Raises:
            ValueError: A folder holds a run of another setup.
            SystemExit: It was interrupted; its processes are ended before.
        """
        self._collect_done()
        waiting = [run for key, run in self.runs.items() if key not in self.results]
        self.display.log(f'{len(self.results)} runs are done, {len(waiting)} to do')
        total = len(waiting)
        running: list[Started] = []
        try:
            while (waiting or running) and (self.keeps_going or not self.problems):
                self._give_up(waiting)
                for run in self._ready(waiting):
                    taken = {place for started in running for place in started.places}
                    free = [place for place in range(self._places(run)) if place not in taken]
                    if len(free) < (run.gpus or 1):
                        continue
                    waiting.remove(run)
                    number = total - len(waiting)
                    self.display.log(f'[{number}/{total}] started {run.id}')
                    try:
                        running.append(self._start(run, free[: run.gpus or 1]))
                    except OSError as error:
                        self._fail(run, f'failed: {error}')
                for started in [item for item in running if item.process.poll() is not None]:
                    running.remove(started)
                    self._end(started)
                self.display.show(map(_progress_line, running))
                if running:
                    time.sleep(0.1)
        except KeyboardInterrupt:
            self.display.log('stopped; the same command goes on from here')
            raise SystemExit(130) from None
        finally:
            for started in running:
                started.process.terminate()
            for started in running:
                started.process.wait()
        return not self.problems

    def _collect_done(self) -> None:
        for key, run in self.runs.items():
            result = run.result()
            if result is not None:
                self.results[key] = result

    def _give_up(self, waiting: list[Run]) -> None:
        """Drop the runs that need one that has failed; those that need these follow."""
        for run in list(waiting):
            failed = [need.id for need in run.needs.values() if need.id in self.problems]
            if failed:
                waiting.remove(run)
                self._fail(run, f'not run: it needs {", ".join(failed)}')

    def _ready(self, waiting: list[Run]) -> list[Run]:
        return [
            run for run in waiting if all(need.id in self.results for need in run.needs.values())
        ]

    def _places(self, run: Run) -> int:
        return run.context.gpus or self.jobs

    def _start(self, run: Run, places: list[int]) -> Started:
        """Start a process.

        Raises:
            OSError: There is no checkpoint to test, another process makes this run already, or
                there are too few GPUs.
        """
        run.begin()
        command = run.command(run.checkpoint())
        with (run.folder / LOCK).open('w') as lock, (run.folder / LOG).open('ab') as log:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise OSError(f'another process is making it in {run.folder}') from error
            log.write(f'\n$ {run.command_text()}\n'.encode())
            log.flush()
            # The process keeps the lock, also when it outlives this one.
            process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self._environment(run, places),
                pass_fds=(lock.fileno(),),
            )
        return Started(run, process, places, time.perf_counter(), time.time())

    def _environment(self, run: Run, places: list[int]) -> dict[str, str]:
        """The environment of a run: the checkout's package, its GPUs, its share of the cores."""
        path, root = os.environ.get('PYTHONPATH'), run.context.root
        cores = os.cpu_count() or 1
        environment = {
            **os.environ,
            'PYTHONPATH': f'{root}{os.pathsep}{path}' if path else str(root),
            'PYTHON': sys.executable,
            'OMP_NUM_THREADS': str(self.threads or max(1, cores // self._places(run))),
        }
        if run.gpus is not None and run.context.gpus is not None:
            visible = os.environ.get('CUDA_VISIBLE_DEVICES')
            names = visible.split(',') if visible else [*map(str, range(run.context.gpus))]
            if len(names) < run.context.gpus:
                raise OSError(
                    f'CUDA_VISIBLE_DEVICES={visible} names fewer than {run.context.gpus} GPUs'
                )
            environment['CUDA_VISIBLE_DEVICES'] = ','.join(names[place] for place in places)
        return environment

    def _end(self, started: Started) -> None:
        run, code = started.run, started.process.returncode
        seconds = time.perf_counter() - started.seconds
        if code == 0:
            try:
                self.results[run.id] = run.finish(seconds, started.since)
            except FileNotFoundError as error:
                self._fail(run, f'failed: {error}')
                return
            self.display.log(f'finished {run.id} in {seconds:.0f} s')
            self.measured(run)
        else:
            log = run.folder / LOG
            self._fail(run, f'failed with exit code {code} after {seconds:.0f} s, see {log}')

    def _fail(self, run: Run, problem: str) -> None:
        self.problems[run.id] = problem
        self.display.log(f'{run.id} {problem}')
