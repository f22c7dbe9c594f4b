"""Builds the data sets and evaluators of a config, as a run does, and reports what they say."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS, METRICS, init_default_scope

from ..structures import ImageReadError
from .check_files import Finding, strip_path
from .check_images import ImageChecks, check_images

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
PUBLISHED = {
    ('ov_coco', True): '107,761 images, 665,387 boxes',
    ('ov_coco', False): '4,836 images, 33,152 boxes, 28,538 base, 4,614 novel',
}
"""Published size of OV-COCO, (vocabulary, base classes only) -> text."""


def dicts(node: object, name: str = '') -> Iterator[tuple[str, Mapping]]:
    """All dicts of a nested config, outer ones first, each with its key."""
    if isinstance(node, Mapping):
        yield name, node
        for key, child in node.items():
            yield from dicts(child, key)
    elif isinstance(node, (list, tuple)):
        for child in node:
            yield from dicts(child, name)


def dataset_nodes(loader: Mapping | None) -> list[Mapping]:
    """Configs of the data sets of a dataloader, also wrapped ones."""
    keys = ('data_prefix', 'ann_file', 'source')
    return [node for _, node in dicts(loader) if not node.keys().isdisjoint(keys)]


def check_reading(config: Config, checks: ImageChecks) -> Iterator[Finding]:
    """Read the annotation files as a run does, and compare images, evaluators and data sets.

    Args:
        config: A config of this package, of mmdet or of mmseg; its `custom_imports` are done.
        checks: What is checked of each image.

    Yields:
        What data sets and evaluators log, with `doubt` for warnings, and the first error of each.
    """
    init_default_scope(config.get('default_scope') or 'mmengine')
    done: list[tuple[Mapping, BaseDataset | None]] = []
    for loader in LOADERS:
        datasets = []
        for node in dataset_nodes(config.get(loader)):
            if 'type' not in node:
                continue
            known = [dataset for other, dataset in done if other == node]
            if not known:
                dataset, findings = _build(DATASETS.build, node)
                yield from findings
                if dataset is not None:
                    yield from _describe(dataset)
                    yield from check_images(dataset, checks)
                done.append((node, dataset))
                known = [dataset]
            datasets += [dataset for dataset in known if dataset is not None]
        evaluator = config.get(loader.replace('dataloader', 'evaluator'))
        if datasets and evaluator:
            for node in evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]:
                yield from _check_metric(node, datasets)


def _build(build: Any, *args: object) -> tuple[Any, list[Finding]]:  # noqa: ANN401
    """Call a function; its result, None after an error, and what it logged."""
    built, problem = None, []
    with _captured() as records:
        try:
            built = build(*args)
        except (ValueError, OSError, KeyError, TypeError, RuntimeError) as error:
            problem = [_as_problem(error)]
    return built, [_as_finding(record) for record in records] + problem


def _as_problem(error: Exception) -> Finding:
    """The finding of an error, whose message begins with the file."""
    text = str(error)
    if not isinstance(error, (ValueError, OSError, ImageReadError)):
        text = f'{type(error).__name__}: {text}'
    path, separator, _ = text.partition(': ')
    known = separator and not any(character.isspace() for character in path)
    return Finding(path, strip_path(error, path)) if known else Finding('config', text)


def _as_finding(record: logging.LogRecord) -> Finding:
    """The finding of a line of the log, which begins with the file."""
    path, _, text = record.getMessage().partition(': ')
    return Finding(path, **{'doubt' if record.levelno >= logging.WARNING else 'note': text})


@contextlib.contextmanager
def _captured() -> Iterator[list[logging.LogRecord]]:
    """Collect the lines of mm's log in place of printing them."""
    logger = MMLogger.get_current_instance()
    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.INFO)
    setattr(handler, 'emit', records.append)  # noqa: B010
    handlers, level, logger.handlers = logger.handlers, logger.level, [handler]
    logger.setLevel(logging.INFO)
    try:
        yield records
    finally:
        logger.handlers = handlers
        logger.setLevel(level)


def _describe(dataset: BaseDataset) -> Iterator[Finding]:
    """The published size beside that of an OV-COCO data set."""
    name = getattr(getattr(dataset, 'vocabulary', None), 'name', '')
    published = PUBLISHED.get((name, bool(getattr(dataset, 'base_only', False))))
    if published:
        yield Finding(dataset.ann_file, note=f'{len(dataset):,} images (published: {published})')


def _check_metric(node: Mapping, datasets: list[BaseDataset]) -> Iterator[Finding]:
    """Build a metric and compare its annotation file with the data sets."""

    def compare() -> object:
        metric = METRICS.build(node)
        metric.dataset_meta = datasets[0].metainfo
        infos = (data.get_data_info(number) for data in datasets for number in range(len(data)))
        if hasattr(metric, 'check_images'):
            for info in infos:
                shape = (info['height'], info['width']) if 'height' in info else None
                sample = {'img_id': info['img_id'], 'img_path': info['img_path']}
                metric.check_images([sample | ({'ori_shape': shape} if shape else {})])
        return metric

    _, findings = _build(compare)
    yield from findings
