"""From names of tables to files: which runs are needed, making them, writing what they say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from .campaign import Campaign, say
from .report import earlier_records, write_report
from .run import Run
from .setting import Setting
from .table import Table


class Reproduction:
    """Measures tables.

    Args:
        tables: What to measure.
        seeds: A run of every experiment for each.
        setting: Where and how.
        jobs: Runs at a time.
        progress: Receives one line a run that starts or ends, and one a table at the end.
    """

    def __init__(
        self,
        tables: Sequence[Table],
        seeds: Sequence[int],
        setting: Setting,
        jobs: int = 1,
        progress: Callable[[str], None] = say,
    ) -> None:
        self.tables = tables
        self.seeds = list(dict.fromkeys(seeds))
        self.setting = setting
        self.progress = progress
        runs = [
            Run.of(experiment, seed, setting)
            for seed in self.seeds
            for table in tables
            for row in table.rows
            for experiment in row.measured_by
        ]
        self.campaign = Campaign(runs, jobs, progress)

    def commands(self) -> list[str]:
        """What would be run, for a shell, in an order that keeps every need."""
        return [
            f'# {run.id}{" (done)" if run.result() else ""}\n{run.command_text()}'
            for run in self.campaign.runs.values()
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
            results, problems = self.campaign.results, self.campaign.problems
            return [
                write_report(table, self.seeds, self.setting, results, problems, out)
                for table in tables
            ]

        self.campaign.measured = lambda run: write(
            [table for table in self.tables if _measures(table, run)]
        )
        for table in self.tables:
            earlier_records(table, out)  # one of other columns is refused before hours are spent
        complete = self.campaign.execute()
        for path in write(self.tables):
            self.progress(f'table: {path}')
        for key, problem in self.campaign.problems.items():
            self.progress(f'problem: {key} {problem}')
        return complete


def _measures(table: Table, run: Run) -> bool:
    names = {experiment.name for row in table.rows for experiment in row.measured_by}
    return run.experiment.name in names
