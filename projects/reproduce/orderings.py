"""Which orders of the paper's rows are those measured here, beyond the deviation of seeds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple


class Cell(NamedTuple):
    """A number of a table, here and in the paper.

    Attributes:
        row: Number of its row.
        paper: The paper's number.
        values: Those measured here, one a seed.
        seeded: Whether seeds change it; one that they do not has no deviation.
    """

    row: str
    paper: float
    values: Sequence[float]
    seeded: bool

    @property
    def variance(self) -> float | None:
        """Of one seed; None where a single seed is measured."""
        if not self.seeded:
            return 0.0
        return statistics.variance(self.values) if len(self.values) > 1 else None


class Orderings(NamedTuple):
    """Pairs of rows, ``2 < 3`` as the paper has them.

    Attributes:
        hold: Here the same way, by more than two standard deviations of the difference.
        reversed: The other way round, likewise.
        neither: Within two standard deviations.
    """

    hold: list[str]
    reversed: list[str]
    neither: list[str]


def compare(cells: Sequence[Cell]) -> Orderings:
    """Compare all pairs of a column.

    Pairs that are equal in the paper, or of which one is not measured, or with one seed only, are
    left out.

    Args:
        cells: Of one column.
    """
    found = Orderings([], [], [])
    for pair in combinations([cell for cell in cells if cell.values], 2):
        low, high = sorted(pair, key=lambda cell: cell.paper)
        if low.paper == high.paper or low.variance is None or high.variance is None:
            continue
        difference = statistics.fmean(high.values) - statistics.fmean(low.values)
        certain = abs(difference) > 2 * (low.variance + high.variance) ** 0.5
        group = (found.hold if difference > 0 else found.reversed) if certain else found.neither
        group.append(f'{low.row} < {high.row}')
    return found


def orderings_table(columns: Mapping[str, Sequence[Cell]]) -> list[list[str]]:
    """Rows of a table: column, pairs that hold, that are reversed, that are neither.

    Args:
        columns: Title to cells. A column without any pair has no row.
    """
    rows = []
    for title, cells in columns.items():
        found = compare(cells)
        if any(found):
            rows.append([title, *(', '.join(pairs) or '–' for pairs in found)])
    return rows
