"""The csv beside a table: one line a measurement, so that seeds of other machines can be added."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from clipself_mm.io.atomic_write import atomic_write

KEYS = ('row', 'run', 'seed', 'setup', 'epochs', 'data', 'date')


class Record(NamedTuple):
    """One measurement.

    Attributes:
        row: Number of the table's row.
        run: Name of the experiment.
        seed: Its seed; empty for one that has none.
        setup: Digest of what decides the numbers but the seed; only equal ones are averaged.
        epochs: What trainings were cut to; empty if they had their own length.
        data: Which data it was measured on.
        date: Day of the measurement.
        values: Column of the table to number; a column that the run does not measure is absent.
    """

    row: str
    run: str
    seed: str
    setup: str
    epochs: str
    data: str
    date: str
    values: dict[str, float]

    @property
    def key(self) -> tuple[str, ...]:
        """What tells two measurements apart."""
        return self.row, self.run, self.seed, self.setup


def read_records(path: str | Path, columns: Sequence[str]) -> list[Record]:
    """Read the lines of a table.

    Args:
        path: The csv file; one that is not there has no lines.
        columns: Columns of the table.

    Raises:
        ValueError: The file has other columns or a cell that is no number; names file and line.
    """
    path = Path(path)
    if not path.exists():
        return []
    with path.open(newline='', encoding='utf-8') as file:
        lines = list(csv.reader(file))
    expected = [*KEYS, *columns]
    if not lines or lines[0] != expected:
        raise ValueError(
            f'{path}: expected the columns {",".join(expected)}, '
            f'got {",".join(lines[0]) if lines else "an empty file"}'
        )
    records = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            cells = dict(zip(expected, line, strict=True))
            values = {column: float(cells[column]) for column in columns if cells[column]}
        except ValueError as error:
            raise ValueError(f'{path}, line {number}: {error}') from error
        records.append(Record(**{key: cells[key] for key in KEYS}, values=values))
    return records


def merge_records(earlier: Iterable[Record], later: Iterable[Record]) -> list[Record]:
    """Earlier lines in their order, each replaced by a later one of its key, then the new ones."""
    merged = {record.key: record for record in earlier}
    merged.update({record.key: record for record in later})
    return list(merged.values())


def write_records(path: str | Path, columns: Sequence[str], records: Iterable[Record]) -> None:
    """Write the lines of a table; the file is whole at any moment.

    Args:
        path: The csv file.
        columns: Columns of the table.
        records: Its lines.
    """
    with atomic_write(path) as part, part.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow([*KEYS, *columns])
        for record in records:
            numbers = [record.values.get(column, '') for column in columns]
            writer.writerow([*(getattr(record, key) for key in KEYS), *numbers])
