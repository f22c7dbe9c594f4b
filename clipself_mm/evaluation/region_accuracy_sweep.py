"""Region accuracy against the size of the dense input (paper, Figure A1)."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner

from clipself_mm.clip import find_source

from .accuracy_table import AccuracyTable
from .input_size import check_sizes, find_transforms, input_size, set_input_size, type_name


def measure_by_size(
    config: Config,
    sizes: Sequence[int],
    path: str | Path,
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> AccuracyTable:
    """Run a config's test at several sizes of the dense input; crops keep theirs.

    Sizes that are in the file already are not run again. Crops are measured once, with the first
    size. With several processes, all see the file.

    Args:
        config: Config of a test with ``RegionClassificationMetric``. Its ``work_dir`` receives a
            folder a size.
        sizes: Sides of the padded square in pixels, multiples of the tower's patch.
        path: csv file, written after each size.
        progress: Wraps the sizes to run, for example ``tqdm``.

    Returns:
        The table, with the rows of earlier runs.

    Raises:
        ValueError: The config does not say its input size, a size does not fit the tower, or the
            file is another config's.
    """
    input_size(config)
    init_default_scope(config.get('default_scope', 'mmengine'))
    check_sizes(sizes, MODELS.build(config.model.tower).patch_size)
    table = AccuracyTable(path, config_digest(config), weights_digest(config))
    for size in progress([size for size in sizes if size not in table.sizes]):
        crop_sizes = [] if table.crops_measured else _crop_sizes(config)
        run = config_at_size(config, size, with_crops=bool(crop_sizes))
        table.add(Runner.from_cfg(run).test(), size, max(crop_sizes, default=None))
    return table


def config_at_size(config: Config, size: int, with_crops: bool = True) -> Config:
    """A copy of a config that tests at another size of the dense input.

    Args:
        config: Stays as it is.
        size: Side of the padded square in pixels.
        with_crops: Whether crops are cut and classified too.
    """
    run = copy.deepcopy(config)
    set_input_size(run, size)
    if not with_crops:
        _drop_transform(run.test_dataloader.dataset, 'CropRegions')
    run.work_dir = str(Path(run.work_dir) / f'size_{size}')
    run.experiment_name = f'size_{size}'
    return run


def config_digest(config: Config) -> str:
    """Twelve hex digits of what decides a config's numbers, but for the size and the weights."""
    sizeless = copy.deepcopy(config)
    set_input_size(sizeless, 0)
    parts = [sizeless.model, sizeless.test_dataloader.dataset, sizeless.test_evaluator]
    text = json.dumps(parts, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def weights_digest(config: Config) -> str:
    """Twelve hex digits of the files that a config's tower and class embeddings come from."""
    classifier = config.model.get('classifier', {})
    sources = [config.model.tower, classifier.get('text')]
    files = [find_source(s['model'], s.get('checkpoint')).checkpoint for s in sources if s]
    files += [classifier.get('embeddings'), config.get('load_from')]
    digests: dict[str | None, str] = {None: ''}
    for name in files:
        if name not in digests:
            with open(name, 'rb') as file:
                digests[name] = _file_digest(file)
    joined = ' '.join(digests[name] for name in files)
    return hashlib.sha256(joined.encode()).hexdigest()[:12]


def _file_digest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(2**20):
        digest.update(chunk)
    return digest.hexdigest()


def _crop_sizes(config: Config) -> list[int]:
    return [crop['size'] for crop in find_transforms(config.test_dataloader.dataset, 'CropRegions')]


def _drop_transform(node: object, name: str) -> None:
    """Take every transform of a type out of the lists below a node of a config."""
    if isinstance(node, dict):
        node = list(node.values())
    elif isinstance(node, list):
        node[:] = [part for part in node if type_name(part) != name]
    if isinstance(node, list | tuple):
        for part in node:
            _drop_transform(part, name)
