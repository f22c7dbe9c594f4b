"""Plot of the search table: recipes on one axis, accuracies on the other.

python -m projects.reproduce.beyond_plot docs/results/table_beyond-search.csv docs/images/beyond.png
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import matplotlib as mpl

mpl.use('Agg')
from matplotlib import pyplot as plt

from .beyond import RECIPES, scenes_of
from .records import read_records

Points = dict[str, dict[str, float]]
"""Column to recipe to the mean over seeds."""
COLOURS = {'boxes': '#0b6e99', 'stuff masks': '#3a9d5d', 'image crops': '#c2571a'}


def points_of(path: Path) -> Points:
    """Means over the seeds of all that is measured.

    Args:
        path: csv of the table `beyond-search`.

    Raises:
        ValueError: The file is broken; names file and line.
    """
    titles = [column.title for scenes in scenes_of(Path(), Path()) for column in scenes.columns()]
    names = ['original', *RECIPES]
    found: dict[str, dict[str, list[float]]] = {title: {} for title in titles}
    for record in read_records(path, titles):
        for title, value in record.values.items():
            found[title].setdefault(names[int(record.row)], []).append(value)
    return {
        title: {name: statistics.fmean(values) for name, values in of.items()}
        for title, of in found.items()
    }


def draw(points: Points, out: Path) -> None:
    """Draw a panel per data set.

    Args:
        points: Result of ``points_of``.
        out: The picture.
    """
    names = [
        name for name in ('original', *RECIPES) if any(name in item for item in points.values())
    ]
    figure, panels = plt.subplots(1, 2, figsize=(9, 0.3 * len(names) + 1.2), sharey=True)
    for panel, scenes in zip(panels, scenes_of(Path(), Path()), strict=True):
        for kind, colour in COLOURS.items():
            values = points[f'{scenes.title} {kind}']
            rows = [row for row, name in enumerate(names) if name in values]
            accuracies = [values[names[row]] for row in rows]
            panel.plot(accuracies, rows, 'o', color=colour, label=kind, markersize=6)
        panel.set_title(f'{scenes.title}-OV')
        panel.set_xlabel('top-1 in %')
        panel.set_xlim(-3, 103)
        panel.grid(axis='x', alpha=0.3)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()
    figure.legend(*panels[0].get_legend_handles_labels(), loc='lower center', ncol=len(COLOURS))
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    figure.savefig(out, dpi=110)
    plt.close(figure)


def main() -> None:
    """Draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('table', type=Path)
    parser.add_argument('out', type=Path)
    args = parser.parse_args()
    draw(points_of(args.table), args.out)


if __name__ == '__main__':
    main()
