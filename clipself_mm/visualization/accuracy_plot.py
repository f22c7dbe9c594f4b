"""Region accuracy over the size of the dense input, as the paper's Figure A1 draws it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from clipself_mm.evaluation import AccuracyRow, route_title

_PANELS = ('boxes', 'thing_masks', 'stuff_masks')
_CROPS = 'image_crops'
_MARKERS = 'os^Dv'


def draw_accuracy_by_size(tables: Mapping[str, Sequence[AccuracyRow]]) -> Figure:
    """Draw one or several towers: top-1 above, top-5 below; a column for each kind of regions.

    A tower has its colour. Its dense features are the solid line, its image crops the dashed one,
    at whatever size they were; other routes (``masked_boxes``) are dotted.

    Args:
        tables: Title of a tower to its rows, from ``read_accuracy``.

    Returns:
        A figure to save; it belongs to no window.

    Raises:
        ValueError: There is no table, or one has no row to draw.
    """
    if not tables:
        raise ValueError('there is no table to draw')
    for title, rows in tables.items():
        if not any(_panel(row) for row in rows):
            raise ValueError(f'{title}: no accuracy of boxes or masks to draw')
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
    inches = 0.8 + 0.075 * max(map(len, lines))  # of a legend's column: the line and its label
    columns = max(1, min(3, int(figure.get_figwidth() / inches)))
    figure.legend(lines.values(), lines.keys(), loc='outside lower center', ncols=columns)
    return figure


def _panel(row: AccuracyRow) -> str | None:
    """The column a row is drawn in; none for image crops, which are a line across."""
    return next((panel for panel in _PANELS if row.route.endswith(panel)), None)


def _draw_tower(
    axes: Axes, panel: str, top: str, title: str, rows: Sequence[AccuracyRow], index: int
) -> None:
    style = {'color': f'C{index % 10}', 'linewidth': 1.5}
    for route in dict.fromkeys(row.route for row in rows if _panel(row) == panel):
        points = sorted((row.size, getattr(row, top)) for row in rows if row.route == route)
        prefix = route.removesuffix(panel)
        axes.plot(
            *zip(*points, strict=True),
            marker=_MARKERS[index % len(_MARKERS)],
            markersize=4,
            linestyle=':' if prefix else '-',
            label=f'{title}, {route_title(prefix)}',
            **style,
        )
    for row in rows:
        # The metric counts image crops of things only.
        if row.route == _CROPS and panel != 'stuff_masks':
            axes.axhline(getattr(row, top), linestyle='--', label=f'{title}, image crops', **style)
