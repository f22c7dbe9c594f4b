"""Figures of a tuning: heat map of AP50, reliability, kinds of errors, confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from clipself_mm.evaluation.functional import ReliabilityBins

_COLOURS = ('#9aa0a6', '#1f5fd0')
"""Before and after."""


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout='constrained')
    FigureCanvasAgg(figure)
    return figure


def draw_grid(
    grid: Mapping[tuple[float, float], Mapping[str, float]],
    marks: Mapping[str, tuple[float, float]],
) -> Figure:
    """Draw AP50 over alpha and beta, a heat map per split.

    Args:
        grid: (alpha, beta) to AP50 per split, fractions.
        marks: Titles of the current and of the chosen pair.
    """
    alphas, betas = (sorted({pair[axis] for pair in grid}) for axis in (0, 1))
    first = next(iter(grid.values()))
    splits = [split for split in ('novel', 'base') if first.get(split, -1) >= 0] or ['all']
    figure = _figure(0.6 * len(alphas) * len(splits) + 1.5, 0.42 * len(betas) + 1.6)
    for axes, split in zip(figure.subplots(1, len(splits), squeeze=False)[0], splits, strict=True):
        values = np.array([[100 * grid[alpha, beta][split] for alpha in alphas] for beta in betas])
        image = axes.imshow(values, origin='lower', aspect='auto', cmap='viridis')
        for row, column in np.ndindex(values.shape):
            dark = image.norm(values[row, column]) < 0.6
            axes.text(
                column,
                row,
                f'{values[row, column]:.1f}',
                ha='center',
                va='center',
                fontsize=7,
                color='white' if dark else 'black',
            )
        for (alpha, beta), line in zip(marks.values(), ('--', '-'), strict=True):
            corner = alphas.index(alpha) - 0.5, betas.index(beta) - 0.5
            axes.add_patch(Rectangle(corner, 1, 1, fill=False, ec='#e02020', lw=2, ls=line))
        axes.set_xticks(range(len(alphas)), [f'{value:g}' for value in alphas], fontsize=8)
        axes.set_yticks(range(len(betas)), [f'{value:g}' for value in betas], fontsize=8)
        axes.set_xlabel('alpha, CLIP in base classes')
        axes.set_ylabel('beta, CLIP in novel classes')
        axes.set_title(f'AP50 {split}, %')
    lines = [Line2D([], [], color='#e02020', ls=line) for line in ('--', '-')]
    figure.legend(lines, [*marks], loc='outside lower center', ncols=2, fontsize=8)
    return figure


def draw_reliability(bins: Mapping[str, ReliabilityBins]) -> Figure:
    """Draw precision against score; on the diagonal scores are calibrated.

    Args:
        bins: Title to bins, the current settings and the chosen ones.
    """
    figure = _figure(4.6, 5.2)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], '--', color='black', lw=0.8)
    for colour, (title, found) in zip(_COLOURS, bins.items(), strict=False):
        full = found.counts > 0
        label = f'{title}: error {100 * found.error:.1f} %'
        upper.plot(found.scores[full], found.precision[full], 'o-', color=colour, label=label)
        width = 1 / len(found.counts)
        left = np.arange(len(found.counts)) * width
        lower.stairs(found.counts, np.append(left, 1), color=colour)
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel='precision (IoU 0.5)')
    upper.legend(fontsize=8)
    lower.set(yscale='log', xlabel='score', ylabel='detections')
    return figure


def draw_errors(
    costs: Mapping[str, Mapping[str, float]], counts: Mapping[str, int], title: str
) -> Figure:
    """Draw what each kind of error costs, and how often it occurs.

    Args:
        costs: Split to kind to AP50, fractions.
        counts: Kind to its number.
        title: Of the numbers.
    """
    kinds = list(counts)
    figure = _figure(9, 3.4)
    left, right = figure.subplots(1, 2, sharey=True)
    places = np.arange(len(kinds))
    height = 0.8 / len(costs)
    colours = {'novel': '#d03030', 'base': '#1f5fd0', 'all': '#9aa0a6'}
    for number, (split, values) in enumerate(costs.items()):
        bars = left.barh(
            places + (number - (len(costs) - 1) / 2) * height,
            [100 * values[kind] for kind in kinds],
            height,
            label=split,
            color=colours[split],
        )
        left.bar_label(bars, fmt='%.1f', fontsize=7, padding=2)
    left.set_yticks(places, kinds)
    left.invert_yaxis()
    left.set_xlabel('AP50 gained without these errors, %')
    left.legend(fontsize=8)
    left.margins(x=0.15)
    right.bar_label(right.barh(places, [*counts.values()], color='#9aa0a6'), fontsize=8, padding=2)
    right.set_xlabel(title)
    right.margins(x=0.15)
    return figure


def draw_confusion(matrix: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """Draw a confusion matrix, each row as shares of its sum.

    Args:
        matrix: See `confusion_matrix`, shape (K + 1, K + 1).
        classes: K names.
        title: Of the figure.
    """
    side = 3 + 0.16 * len(classes)
    figure = _figure(side, side)
    axes: Axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    image = axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    size = 7 if len(classes) <= 100 else 4
    axes.set_xticks(range(len(matrix)), [*classes, 'no detection'], rotation=90, fontsize=size)
    axes.set_yticks(range(len(matrix)), [*classes, 'no object'], fontsize=size)
    axes.axhline(len(classes) - 0.5, color='black', lw=0.5)
    axes.axvline(len(classes) - 0.5, color='black', lw=0.5)
    axes.set(xlabel='detection', ylabel='object', title=title)
    figure.colorbar(image, shrink=0.5, label='share of the row')
    return figure
