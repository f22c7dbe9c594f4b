"""A table of the paper as data: its rows, its columns, what each row is measured by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from .experiment import Experiment


class Column(NamedTuple):
    """A number that every row has.

    Attributes:
        title: Head of the column.
        metric: Name of the metric in what ``tools/test.py`` writes.
        factor: What the metric is multiplied by to be in percent.
    """

    title: str
    metric: str
    factor: float = 1.0


class Row(NamedTuple):
    """A line of the table.

    Attributes:
        number: The paper's, ``5*``; a row that the paper has not goes by another word.
        labels: What is different in it, a word for each of the table's ``heads``.
        measured_by: Measurements that have the columns among their metrics.
        paper: The paper's numbers, one a column; None where it has none.
    """

    number: str
    labels: tuple[str, ...]
    measured_by: tuple[Experiment, ...]
    paper: tuple[float | None, ...]


@dataclass(frozen=True)
class Table:
    """A table of the paper.

    Attributes:
        name: ``1a``.
        title: What it is about.
        source: Where the paper's numbers stand; empty if it has none.
        heads: What the rows' labels say.
        columns: The numbers.
        rows: The lines.
        remark: What has to be known to read it.
    """

    name: str
    title: str
    source: str
    heads: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    remark: str = ''

    def __post_init__(self) -> None:
        """Check that every row has a label a head and a number a column.

        Raises:
            ValueError: A row has not.
        """
        for row in self.rows:
            if len(row.labels) != len(self.heads) or len(row.paper) != len(self.columns):
                raise ValueError(
                    f'table {self.name}, row {row.number}: expected {len(self.heads)} labels and '
                    f'{len(self.columns)} numbers of the paper, got {row.labels} and {row.paper}'
                )

    @property
    def titles(self) -> list[str]:
        """Titles of the columns."""
        return [column.title for column in self.columns]

    @property
    def columns_in_paper(self) -> list[Column]:
        """Columns in which some row has a number of the paper."""
        return [
            column
            for place, column in enumerate(self.columns)
            if any(row.paper[place] is not None for row in self.rows)
        ]
