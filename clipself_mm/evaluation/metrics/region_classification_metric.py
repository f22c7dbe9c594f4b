"""Mean class accuracy of region classification (paper, Tables 1, 2 and A1)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS

from ..functional import mean_over_classes, rank_of_truth

_TITLES = {'': 'dense features', 'masked': 'masked attention'}
"""Prefix of an extractor's features to its row title."""
_FIELD = re.compile('(?P<prefix>.*?)(?P<kind>boxes|masks|crops)_topk')


class _Score(NamedTuple):
    """One cell of the table: a score, and whether it counts things or stuff."""

    name: str
    row: str
    column: str
    things: bool


class NoRegionsError(ValueError, ZeroDivisionError):
    """A score would be a mean over no region."""


@METRICS.register_module()
class RegionClassificationMetric(BaseMetric):
    """Mean class accuracy of regions, by the features of boxes, masks and image crops.

    Each sample has `pred_regions` with any of the fields `boxes_topk`, `masks_topk`, `crops_topk`
    (class indices, best first, int64, shape (R, k)), and `regions` with `labels` (int64, shape
    (R,)) and `is_thing` (bool, shape (R,)). The result has, in percent, `boxes/top1`,
    `thing_masks/top1`, `stuff_masks/top1`, `image_crops/top1` and the same with `top5`, for the
    fields that exist. Accuracy is averaged over the classes that occur; boxes and image crops
    count things only.

    Further extractors of region features have a prefix, which the keys keep: `masked_boxes_topk`
    gives `masked_boxes/top1`. The log has one table with a row per extractor, as Table A1 of the
    paper.

    Results are integers per image, so the numbers do not depend on the number of processes.

    Args:
        topk: Ranks to report, each at least 1.
        half_precision: Whether the accuracy of each class is rounded to half precision before the
            mean, as in the official implementation; changes a number by less than 0.1.
        collect_device: Where results of several processes are gathered, 'cpu' or 'gpu'.
        prefix: Prefix of the keys, `region` if None.
        collect_dir: Folder shared by the processes for gathering on the CPU.
    """

    default_prefix = 'region'

    def __init__(
        self,
        topk: Sequence[int] = (1, 5),
        half_precision: bool = False,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix, collect_dir)
        self.topk = tuple(topk)
        self.half_precision = half_precision
        if not self.topk or min(self.topk) < 1:
            raise ValueError(f'topk must be a list of ranks of at least 1, got {self.topk}')

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Add one item per image: labels, thing flags and the rank of the true class per field.

        Args:
            data_batch: Not used.
            data_samples: `RegionSample`s as dicts.

        Raises:
            ValueError: A label or a prediction is not a class index, or the predictions of an
                image have an unknown name or not one row per region.
        """
        for sample in data_samples:
            image = sample.get('img_path', sample.get('img_id'))
            regions = sample['regions']
            labels = torch.as_tensor(regions['labels']).cpu()
            is_thing = torch.as_tensor(regions['is_thing']).bool().cpu()
            self._check_classes(labels, f'labels of {image}')
            ranks = {}
            for field, topk in _predictions(sample, image).items():
                topk = torch.as_tensor(topk).cpu()
                self._check_predictions(topk, len(labels), f'{field} of {image}')
                ranks[field] = rank_of_truth(topk, labels).numpy()
            self.results.append(
                {
                    'image': str(image),
                    'labels': labels.numpy(),
                    'is_thing': is_thing.numpy(),
                    'ranks': ranks,
                }
            )

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Mean class accuracies over the whole data set.

        Args:
            results: Items of all images, of all processes.

        Returns:
            Score and rank (`boxes/top1`) to percent.

        Raises:
            ValueError: There are no predictions, or a field exists for some images only.
            NoRegionsError: There is no thing (stuff) region for a score of things (stuff).
        """
        classes = len(self._classes)
        fields = sorted({field for item in results for field in item['ranks']}, key=_row_order)
        if not fields:
            raise ValueError(
                f'none of {len(results)} images has a prediction: expected pred_regions with '
                'boxes_topk, masks_topk or crops_topk'
            )
        for item in results:
            if len(item['labels']) and set(item['ranks']) != set(fields):
                raise ValueError(
                    f'{item["image"]} has the predictions {sorted(item["ranks"])}, other images '
                    f'have {fields}'
                )
        metrics: dict[str, float] = {}
        table: dict[str, dict[str, str]] = {}
        counted: dict[str, str] = {}
        for field in fields:
            for score in _scores_of(field):
                labels, ranks = _gather(results, field, score.things)
                if not len(labels):
                    raise NoRegionsError(
                        f'{score.name} needs {"thing" if score.things else "stuff"} regions, the '
                        f'{len(results)} evaluated images have none'
                    )
                total = np.bincount(labels, minlength=classes)
                values = []
                for k in self.topk:
                    correct = np.bincount(labels[ranks < k], minlength=classes)
                    values.append(100 * mean_over_classes(correct, total, self.half_precision))
                    metrics[f'{score.name}/top{k}'] = values[-1]
                cell = ' / '.join(f'{value:.2f}' for value in values)
                table.setdefault(score.row, {})[score.column] = cell
                counted[score.column] = f'{len(labels)} / {(total > 0).sum()}'
        table['regions / classes'] = counted
        ranks_title = ' / '.join(f'top-{k}' for k in self.topk)
        title = f'Region classification, mean class accuracy {ranks_title} in %'
        print_log(f'{title}\n{_format(table)}', logger='current')
        return metrics

    @property
    def _classes(self) -> Sequence[str]:
        meta = self.dataset_meta or {}
        if not meta.get('classes'):
            raise ValueError(
                'RegionClassificationMetric needs class names ("classes") in the metainfo of the '
                f'data set, which has {sorted(meta)}'
            )
        return meta['classes']

    def _check_classes(self, indices: torch.Tensor, what: str) -> None:
        classes = len(self._classes)
        if indices.numel() and not 0 <= int(indices.min()) <= int(indices.max()) < classes:
            raise ValueError(
                f'{what}: class indices {int(indices.min())}..{int(indices.max())}, but the data '
                f'set has {classes} classes'
            )

    def _check_predictions(self, topk: torch.Tensor, regions: int, what: str) -> None:
        needed = min(max(self.topk), len(self._classes))
        if topk.ndim != 2 or topk.shape[0] != regions or topk.shape[1] < needed:
            raise ValueError(
                f'{what}: shape {tuple(topk.shape)}, expected ({regions}, >= {needed})'
            )
        self._check_classes(topk, what)


def extractor_title(prefix: str) -> str:
    """Title of an extractor of region features in tables and figures.

    Args:
        prefix: Prefix of its features: ``masked_`` of ``masked_boxes``, empty for the dense map.

    Returns:
        The title, by default the prefix in words.
    """
    words = prefix.strip('_')
    return _TITLES.get(words, words.replace('_', ' '))


def _row_order(field: str) -> tuple[bool, str, str]:
    """Sort key of table rows: image crops, dense features, the others by name."""
    prefix, kind = _FIELD.findall(field)[0]
    return kind != 'crops', prefix, kind


def _scores_of(field: str) -> list[_Score]:
    """Scores of a field; image crops are in the column of boxes, as in Table A1."""
    prefix, kind = _FIELD.findall(field)[0]
    if kind == 'crops':
        row = f'{extractor_title(prefix)} image crops' if prefix else 'image crops'
        return [_Score(f'{prefix}image_crops', row, 'boxes', True)]
    row = extractor_title(prefix)
    if kind == 'boxes':
        return [_Score(f'{prefix}boxes', row, 'boxes', True)]
    return [
        _Score(f'{prefix}thing_masks', row, 'thing masks', True),
        _Score(f'{prefix}stuff_masks', row, 'stuff masks', False),
    ]


def _predictions(sample: Mapping, image: object) -> dict[str, torch.Tensor]:
    """Ranked classes of one image, by field."""
    fields = sorted(key for key in sample['pred_regions'] if key.endswith('_topk'))
    for field in fields:
        if not _FIELD.fullmatch(field):
            raise ValueError(
                f'{image}: expected predictions named [prefix_]boxes_topk, masks_topk or '
                f'crops_topk, got {field}'
            )
    return {field: sample['pred_regions'][field] for field in fields}


def _gather(results: list[dict], field: str, things: bool) -> tuple[np.ndarray, np.ndarray]:
    """Labels and ranks, both of shape (R,), of all thing or stuff regions."""
    labels, ranks = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for item in results:
        if field in item['ranks']:
            counted = item['is_thing'] == things
            labels.append(item['labels'][counted])
            ranks.append(item['ranks'][field][counted])
    return np.concatenate(labels), np.concatenate(ranks)


def _format(table: Mapping[str, Mapping[str, str]]) -> str:
    """The table as text, with a dash for a missing cell."""
    columns = [
        column
        for column in ('boxes', 'thing masks', 'stuff masks')
        if any(column in cells for cells in table.values())
    ]
    first = max(len('features'), *map(len, table))
    head = 'features'.ljust(first) + ''.join(f'{column:>18}' for column in columns)
    lines = [head, '-' * len(head)]
    for row, cells in table.items():
        lines.append(
            row.ljust(first) + ''.join(f'{cells.get(column, "-"):>18}' for column in columns)
        )
    return '\n'.join(lines)
