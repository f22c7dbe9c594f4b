"""Region accuracies at several input sizes: the csv file and Figure A1 of the paper."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mmengine.dist import is_main_process

from clipself_mm.evaluation.metrics.region_classification_metric import extractor_title
from clipself_mm.io.atomic_write import atomic_write

_PANELS = ('boxes', 'thing_masks', 'stuff_masks')
_CROPS = 'image_crops'
_MARKERS = 'os^Dv'


class AccuracyRow(NamedTuple):
    """One row of the csv file.

    Attributes:
        size: Side of the dense input in pixels; of the crops for image crops.
        route: Name in ``RegionClassificationMetric``: boxes, thing_masks, stuff_masks, ...
        kind: Evaluated regions, ``things`` or ``stuff``.
        top1: Mean class accuracy in percent.
        top5: Mean class accuracy of the top 5 in percent.
        config: Digest of the config without the size.
        weights: Digest of the weights.
    """

    size: int
    route: str
    kind: str
    top1: float
    top5: float
    config: str
    weights: str


def read_accuracy(path: str | Path) -> list[AccuracyRow]:
    """Read a csv file of accuracies.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The header or a line is wrong.
    """
    path = Path(path)
    with path.open(newline='', encoding='utf-8') as file:
        lines = list(csv.reader(file))
    if not lines or tuple(lines[0]) != AccuracyRow._fields:
        raise ValueError(
            f'{path}: expected the columns {",".join(AccuracyRow._fields)}, '
            f'got {",".join(lines[0]) if lines else "an empty file"}'
        )
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            size, route, kind, top1, top5, config, weights = line
            rows.append(
                AccuracyRow(int(size), route, kind, float(top1), float(top5), config, weights)
            )
        except ValueError as error:
            raise ValueError(f'{path}, line {number}: {error}') from error
    return rows


class AccuracyTable:
    """The rows measured so far; the file is rewritten atomically after each size.

    Args:
        path: The csv file; existing rows are kept.
        config: Digest of the config.
        weights: Digest of the weights.

    Raises:
        ValueError: The file has rows of a different config or of different weights.
    """

    def __init__(self, path: str | Path, config: str, weights: str) -> None:
        self.path = Path(path)
        self.config = config
        self.weights = weights
        self.rows = read_accuracy(self.path) if self.path.exists() else []
        for row in self.rows:
            for key in ('config', 'weights'):
                found, expected = getattr(row, key), getattr(self, key)
                if found != expected:
                    raise ValueError(
                        f'{self.path}: digest of {key} is {found}, expected {expected}: choose '
                        'another file or delete this one'
                    )

    @property
    def crops_measured(self) -> bool:
        """Whether there is a row of image crops, which do not depend on the dense size."""
        return any(_is_crops(row.route) for row in self.rows)

    @property
    def sizes(self) -> set[int]:
        """Dense sizes measured so far."""
        return {row.size for row in self.rows if not _is_crops(row.route)}

    def add(self, metrics: dict[str, float], size: int, crop_size: int | None) -> None:
        """Add the results of one size and write the file.

        Args:
            metrics: Result of the evaluator: ``region/boxes/top1`` etc. to percent.
            size: Side of the dense input in pixels.
            crop_size: Side of the crops in pixels; None if no crops were measured.

        Raises:
            ValueError: There is no pair of top-1 and top-5 accuracy.
        """
        rows = []
        for key, top1 in metrics.items():
            name, _, rank = key.rpartition('/')
            if rank != 'top1' or f'{name}/top5' not in metrics:
                continue
            route = name.rpartition('/')[2]
            measured = crop_size if _is_crops(route) else size
            if measured is None:
                raise ValueError(f'{key}: expected crop_size with accuracies of crops, got None')
            rows.append(
                AccuracyRow(
                    measured,
                    route,
                    'stuff' if route.endswith('stuff_masks') else 'things',
                    round(top1, 4),
                    round(metrics[f'{name}/top5'], 4),
                    self.config,
                    self.weights,
                )
            )
        if not rows:
            raise ValueError(
                'expected top1 and top5 of a RegionClassificationMetric from the test evaluator, '
                f'got {sorted(metrics)}'
            )
        self.rows += rows
        if is_main_process():
            self._write(self.rows)

    def _write(self, rows: Sequence[AccuracyRow]) -> None:
        with (
            atomic_write(self.path) as part,
            part.open('w', newline='', encoding='utf-8') as file,
        ):
            writer = csv.writer(file, lineterminator='\n')
            writer.writerow(AccuracyRow._fields)
            writer.writerows(rows)


def _is_crops(route: str) -> bool:
    return route.endswith(_CROPS)


def draw_accuracy_by_size(tables: Mapping[str, Sequence[AccuracyRow]]) -> Figure:
    """Draw one or more towers: top-1 above, top-5 below, one column per kind of regions.

    One colour per tower. Dense features are solid lines, image crops dashed horizontal lines, other
    routes (``masked_boxes``) dotted lines.

    Args:
        tables: Title of a tower to its rows (``read_accuracy``), at least one.

    Returns:
        The figure, without a window.

    Raises:
        ValueError: A table has no row of boxes or masks.
    """
    for title, rows in tables.items():
        if not any(_panel(row) for row in rows):
            raise ValueError(f'{title}: expected rows of boxes or masks, found none')
    drawn = [_panel(row) for rows in tables.values() for row in rows]
    panels = [panel for panel in _PANELS if panel in drawn]
    figure = Figure(figsize=(3.4 * len(panels), 5.2), layout='constrained')
    FigureCanvasAgg(figure)
    grid = figure.subplots(2, len(panels), squeeze=False, sharex=True)
    for line, top in zip(grid, ('top1', 'top5'), strict=True):
        for axes, panel in zip(line, panels, strict=True):
            for index, (title, rows) in enumerate(tables.items()):
                _draw_tower(axes, panel, top, title, rows, index)
            axes.set_ylim(0, 100)
            axes.grid(alpha=0.3)
        line[0].set_ylabel(f'{top[:3]}-{top[3:]} mean accuracy, %')
    for axes, panel in zip(grid[0], panels, strict=True):
        axes.set_title(panel.replace('_', ' '))
    ticks = sorted({row.size for rows in tables.values() for row in rows if _panel(row)})
    for axes in grid[-1]:
        axes.set_xticks(ticks)
        axes.set_xlabel('input size of dense features, px')
    lines = {
        label: handle
        for axes in grid.flat
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    inches = 0.8 + 0.075 * max(map(len, lines))  # width of a legend column: line and label
    columns = max(1, min(3, int(figure.get_figwidth() / inches)))
    figure.legend(lines.values(), lines.keys(), loc='outside lower center', ncols=columns)
    return figure


def _panel(row: AccuracyRow) -> str | None:
    """The column of a row; None for image crops, which are drawn in several."""
    return next((panel for panel in _PANELS if row.route.endswith(panel)), None)


def _draw_tower(
    axes: Axes, panel: str, top: str, title: str, rows: Sequence[AccuracyRow], index: int
) -> None:
    style: dict[str, Any] = {'color': f'C{index % 10}', 'linewidth': 1.5}
    for route in dict.fromkeys(row.route for row in rows if _panel(row) == panel):
        points = sorted((row.size, getattr(row, top)) for row in rows if row.route == route)
        prefix = route.removesuffix(panel)
        axes.plot(
            *zip(*points, strict=True),
            marker=_MARKERS[index % len(_MARKERS)],
            markersize=4,
            linestyle=':' if prefix else '-',
            label=f'{title}, {extractor_title(prefix)}',
            **style,
        )
    for row in rows:
        # The metric evaluates image crops of things only.
        if row.route == _CROPS and panel != 'stuff_masks':
            axes.axhline(getattr(row, top), linestyle='--', label=f'{title}, image crops', **style)
