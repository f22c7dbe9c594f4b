"""From names of tables to files: which runs are needed, making them, writing what they say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .display import Display
from .job_queue import JobQueue
from .report import earlier_records, record_key, write_report
from .run import Run
from .run_context import RunContext
from .table import Table


class Reproduction:
    """Measures tables.

    Args:
        tables: What to measure.
        seeds: A run of every experiment for each.
        context: Where and how.
        jobs: Runs at a time.
        display: Shows each run that starts, goes on or ends, and the tables' files at the end.
        recorded: Folder of tables; what they hold, as measured with the same setup and seed, is not
            measured again, and stays where a run is made for others that need it. None measures
            everything that the work folder does not hold.

    Raises:
        ValueError: A csv file in ``recorded`` is broken or another table's.
    """

    def __init__(
        self,
        tables: Sequence[Table],
        seeds: Sequence[int],
        context: RunContext,
        jobs: int = 1,
        display: Display | None = None,
        recorded: Path | None = None,
    ) -> None:
        self.tables = tables
        self.seeds = list(dict.fromkeys(seeds))
        self.context = context
        self.display = display or Display()
        self.recorded = recorded
        known = {
            (table.name, *record.key)
            for table in tables
            for record in (earlier_records(table, recorded) if recorded else ())
        }
        runs = [
            run
            for seed in self.seeds
            for table in tables
            for row in table.rows
            for run in (Run.of(experiment, seed, context) for experiment in row.measured_by)
            if (table.name, *record_key(row, run)) not in known
        ]
        self.queue = JobQueue(runs, jobs, self.display)

    def commands(self) -> list[str]:
        """What would be run, for a shell, in an order that keeps every need."""
        return [
            f'# {run.id}{" (done)" if run.result() else ""}\n{run.command_text()}'
            for run in self.queue.runs.values()
        ]

    def execute(self, out: Path) -> bool:
        """Make the runs; after each measurement write the tables that have it.

        Args:
            out: Folder of the tables.

        Returns:
            Whether all runs are done.

        Raises:
            ValueError: A folder holds a run of another setup, or a csv file another table.
        """

        def write(tables: Sequence[Table]) -> list[Path]:
            results, problems = self.queue.results, self.queue.problems
            keeps = self.recorded is not None
            return [
                write_report(table, self.seeds, self.context, results, problems, out, keeps)
                for table in tables
            ]

        self.queue.measured = lambda run: write(
            [table for table in self.tables if _measures(table, run)]
        )
        for table in self.tables:
            earlier_records(table, out)  # one of other columns is refused before hours are spent
        complete = self.queue.execute()
        for path in write(self.tables):
            self.display.log(f'table: {path}')
        for key, problem in self.queue.problems.items():
            self.display.log(f'problem: {key} {problem}')
        return complete


def _measures(table: Table, run: Run) -> bool:
    names = {experiment.name for row in table.rows for experiment in row.measured_by}
    return run.experiment.name in names
