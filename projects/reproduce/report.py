"""From measurements to the table that is read: means, spreads, the paper's numbers beside them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clipself_mm.io.atomic_write import atomic_write

from .orderings import Cell, orderings_table
from .records import Record, merge_records, read_records, write_records
from .run import Run
from .run_context import RunContext
from .table import Row, Table

NONE = '–'


def mean_and_spread(values: Sequence[float]) -> str:
    """Mean and, of at least two numbers, their sample standard deviation, to one decimal.

    Args:
        values: A number a seed; none gives a dash.
    """
    if not values:
        return NONE
    mean = f'{statistics.fmean(values):.1f}'
    return mean if len(values) == 1 else f'{mean} ± {statistics.stdev(values):.1f}'


def records_of(
    table: Table, seeds: Sequence[int], context: RunContext, results: Mapping[str, dict[str, Any]]
) -> list[Record]:
    """What a queue has measured for a table.

    Args:
        table: The table.
        seeds: Seeds of the queue.
        context: Its context.
        results: What runs that are done have left, by id.

    Returns:
        A record for each measurement that is done.

    Raises:
        ValueError: A measurement has none of the table's metrics.
    """
    records: dict[tuple[str, ...], Record] = {}
    for row in table.rows:
        for run in _runs_of(row, seeds, context):
            if run.id not in results:
                continue
            result = results[run.id]
            values = {
                column.title: round(column.factor * result['metrics'][column.metric], 4)
                for column in table.columns
                if column.metric in result['metrics']
            }
            if not values:
                raise ValueError(
                    f'{run.folder}: expected one of {[c.metric for c in table.columns]} for table '
                    f'{table.name}, got {sorted(result["metrics"])}'
                )
            record = Record(
                *record_key(row, run),
                epochs=str(context.epochs) if run.is_cut else '',
                data=context.data,
                date=result['date'],
                values=values,
            )
            records[record.key] = record
    return list(records.values())


def markdown(
    table: Table,
    records: Sequence[Record],
    seeds: Sequence[int],
    context: RunContext,
    problems: Mapping[str, str],
) -> str:
    """The table as markdown: each number here beside the paper's.

    Args:
        table: The table.
        records: Its measurements; those of another setup than today's are left out.
        seeds: Seeds that are expected.
        context: The context of the queue.
        problems: Why a run is not done, by id.
    """
    lines, used, missing, others = [], [], [], 0
    columns: dict[str, list[Cell]] = {column.title: [] for column in table.columns}
    in_paper = table.columns_in_paper
    for row in table.rows:
        today = {run.setup: run for run in _runs_of(row, seeds, context)}
        of_row = [record for record in records if record.row == row.number]
        own = [record for record in of_row if record.setup in today]
        others += len(of_row) - len(own)
        used += own
        cells = []
        for column, published in zip(table.columns, row.paper, strict=True):
            values = [r.values[column.title] for r in own if column.title in r.values]
            cells.append(mean_and_spread(values))
            if published is not None:
                seeded = any(item.seeded for item in row.measured_by)
                columns[column.title].append(Cell(row.number, published, values, seeded))
            if column in in_paper:
                cells.append(NONE if published is None else f'{published:.1f}')
        numbers = sorted({str(sum(r.run == name for r in own)) for name in _names(row)})
        lines.append([row.number, *row.labels, *cells, ' / '.join(numbers)])
        missing += _missing(row, own, seeds, context, problems)
    head = ['#', *table.heads]
    for column in table.columns:
        head += [column.title, 'paper'] if column in in_paper else [column.title]
    parts = [f'# Table {table.name}: {table.title}', _measured(table, used, context)]
    if table.remark:
        parts.append(table.remark)
    parts.append('\n'.join(_as_markdown([[*head, 'runs'], *lines])))
    if orders := orderings_table(columns):
        heads = ['order of rows in the paper', 'the same here', 'reversed here', 'neither']
        parts.append(
            'By the difference of two means; `neither` is within two standard deviations of the '
            'difference of two seeds:'
        )
        parts.append('\n'.join(_as_markdown([heads, *orders])))
    if missing:
        parts.append('Missing:\n\n' + '\n'.join(f'- {item}' for item in missing))
    if others:
        parts.append(
            f'Lines of the csv file that are of another config, length or data and not counted: '
            f'{others}.'
        )
    return '\n\n'.join(parts) + '\n'


def write_report(
    table: Table,
    seeds: Sequence[int],
    context: RunContext,
    results: Mapping[str, dict[str, Any]],
    problems: Mapping[str, str],
    out: Path,
    keeps_recorded: bool = False,
) -> Path:
    """Add what is measured to ``table_NAME.csv`` and write ``table_NAME.md`` of all its lines.

    Args:
        table: The table.
        seeds: Seeds of the queue.
        context: Its context.
        results: What runs that are done have left, by id.
        problems: Why a run is not done, by id.
        out: Folder of both files.
        keeps_recorded: Whether a line that is there stays, of a run that was made once more.

    Returns:
        The markdown file.
    """
    path = _csv_of(table, out)
    measured = records_of(table, seeds, context, results)
    earlier = earlier_records(table, out)
    if keeps_recorded:
        there = {record.key for record in earlier}
        measured = [record for record in measured if record.key not in there]
    records = merge_records(earlier, measured)
    write_records(path, table.titles, records)
    text = markdown(table, records, seeds, context, problems)
    with atomic_write(path.with_suffix('.md')) as part:
        part.write_text(text, encoding='utf-8')
    return path.with_suffix('.md')


def earlier_records(table: Table, out: Path) -> list[Record]:
    """What the csv of a table holds already; nothing if there is none.

    Raises:
        ValueError: It is broken or of other columns; names file and line.
    """
    return read_records(_csv_of(table, out), table.titles)


def record_key(row: Row, run: Run) -> tuple[str, str, str, str]:
    """The ``Record.key`` of what a run measures for a row."""
    return row.number, run.experiment.name, _seed(run), run.setup


def _seed(run: Run) -> str:
    """A run's seed as a record has it."""
    return '' if run.seed is None else str(run.seed)


def _csv_of(table: Table, out: Path) -> Path:
    return out / f'table_{table.name}.csv'


def _runs_of(row: Row, seeds: Sequence[int], context: RunContext) -> list[Run]:
    return [Run.of(item, seed, context) for item in row.measured_by for seed in seeds]


def _names(row: Row) -> list[str]:
    return [experiment.name for experiment in row.measured_by]


def _missing(
    row: Row,
    own: Sequence[Record],
    seeds: Sequence[int],
    context: RunContext,
    problems: Mapping[str, str],
) -> list[str]:
    """A line for each measurement of a row that is not there."""
    there = {(record.run, record.seed) for record in own}
    absent = {
        run.id: 'failed' if run.id in problems else 'not measured'
        for run in _runs_of(row, seeds, context)
        if (run.experiment.name, _seed(run)) not in there
    }
    label = ', '.join(row.labels)
    return [f'row {row.number} ({label}): {key} {state}' for key, state in absent.items()]


def _measured(table: Table, used: Sequence[Record], context: RunContext) -> str:
    """The sentences over a table."""
    seeds = sorted({int(record.seed) for record in used if record.seed})
    dates = sorted({record.date for record in used})
    named = f'seeds {", ".join(map(str, seeds))}' if seeds else 'no seed yet'
    when = f'; {" to ".join(dict.fromkeys((dates[0], dates[-1])))}' if dates else ''
    sentences = [
        f'Measured here on {context.data}, in %; mean ± standard deviation of several seeds '
        f'({named}{when}).',
    ]
    if table.source:
        sentences.append(f'The columns "paper" are its numbers on COCO ({table.source}).')
    if context.epochs is not None:
        plural = '' if context.epochs == 1 else 's'
        sentences.insert(1, f'**Trainings were cut to at most {context.epochs} epoch{plural}.**')
    return ' '.join(sentences)


def _as_markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f'| {" | ".join(cells)} |' for cells in rows]
    lines.insert(1, f'|{"---|" * len(rows[0])}')
    return lines
