"""Region accuracies of one tower at several input sizes, kept in a csv file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mmengine.dist import is_main_process

from clipself_mm.io.atomic_write import atomic_write


class AccuracyRow(NamedTuple):
    """One line of the file.

    Attributes:
        size: Side in pixels of the dense input; of image crops, that of the crops.
        route: Name of ``RegionClassificationMetric``: boxes, thing_masks, stuff_masks, ...
        kind: Which regions count, ``things`` or ``stuff``.
        top1: Mean class accuracy in percent.
        top5: The same of the five best.
        config: Digest of the config, but for the size.
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
        FileNotFoundError: There is no such file.
        ValueError: A line is not one of these; names the file and the line.
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
    """The rows measured so far; written anew, and whole, after each size.

    Args:
        path: File to write, read first if it is there.
        config: Digest of the config that measures.
        weights: Digest of the weights measured.

    Raises:
        ValueError: The file holds rows of another config or of other weights.
    """

    def __init__(self, path: str | Path, config: str, weights: str) -> None:
        self.path = Path(path)
        self.config = config
        self.weights = weights
        self.rows = read_accuracy(self.path) if self.path.exists() else []
        for row in self.rows:
            for what in ('config', 'weights'):
                there, here = getattr(row, what), getattr(self, what)
                if there != here:
                    raise ValueError(
                        f'{self.path} was measured with other {what} (digest {there}, now {here}): '
                        'write to another file, or remove this one'
                    )

    @property
    def crops_measured(self) -> bool:
        """Whether the accuracy of image crops, which no dense size changes, is there."""
        return any(_is_crops(row.route) for row in self.rows)

    @property
    def sizes(self) -> set[int]:
        """Dense sizes that are there."""
        return {row.size for row in self.rows if not _is_crops(row.route)}

    def add(self, metrics: dict[str, float], size: int, crop_size: int | None) -> None:
        """Add what was measured at a size, and write the file.

        Args:
            metrics: Answer of the evaluator, ``region/boxes/top1`` and so on to percent.
            size: Side of the dense input in pixels.
            crop_size: Side of the crops in pixels, None where none were measured.

        Raises:
            ValueError: The evaluator has not answered with top-1 and top-5 accuracies.
        """
        rows = []
        for key, top1 in metrics.items():
            name, _, rank = key.rpartition('/')
            if rank != 'top1' or f'{name}/top5' not in metrics:
                continue
            route = name.rpartition('/')[2]
            rows.append(
                AccuracyRow(
                    crop_size if _is_crops(route) else size,
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
    return route.endswith('image_crops')
