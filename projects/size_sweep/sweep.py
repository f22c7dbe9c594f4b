"""Region accuracy against the size of the dense input (paper, Figure A1)."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner

from clipself_mm.clip import find_source

from .accuracy import AccuracyTable


def measure_by_size(
    config: Config,
    sizes: Sequence[int],
    path: str | Path,
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> AccuracyTable:
    """Run the test of a config at several sizes of the dense input; the size of crops stays.

    Sizes that are in the file are skipped. Crops are measured once, with the first size. With
    several processes, all must have access to the file.

    Args:
        config: Config of a test with ``RegionClassificationMetric``. Its ``work_dir`` gets one
            folder per size.
        sizes: Sides of the padded square in pixels, multiples of the patch size.
        path: csv file, written after each size.
        progress: Wraps the iteration over sizes, for example ``tqdm``.

    Returns:
        The table, with the rows of earlier runs.

    Raises:
        ValueError: The config has no input size, a size is not a multiple of the patch size, or the
            file is of a different config or weights.
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
    """A copy of a config with another size of the dense input.

    Args:
        config: Not changed.
        size: Side of the padded square in pixels.
        with_crops: Whether crops are classified too.
    """
    run = copy.deepcopy(config)
    set_input_size(run, size)
    if not with_crops:
        _drop_transform(run.test_dataloader.dataset, 'CropRegions')
    run.work_dir = str(Path(run.work_dir) / f'size_{size}')
    run.experiment_name = f'size_{size}'
    return run


def config_digest(config: Config) -> str:
    """Digest of model, test data and evaluator of a config, without the size: 12 hex digits."""
    sizeless = copy.deepcopy(config)
    set_input_size(sizeless, 0)
    parts = [sizeless.model, sizeless.test_dataloader.dataset, sizeless.test_evaluator]
    text = json.dumps(parts, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def weights_digest(config: Config) -> str:
    """Digest of the files of a config's tower, text and class embeddings: 12 hex digits."""
    classifier = config.model.get('classifier', {})
    sources = [config.model.tower, classifier.get('text')]
    files = [find_source(s['model'], s.get('checkpoint')).checkpoint for s in sources if s]
    files += [classifier.get('embeddings'), config.get('load_from')]
    digests = {path: '' if path is None else _file_digest(path) for path in set(files)}
    joined = ' '.join(digests[path] for path in files)
    return hashlib.sha256(joined.encode()).hexdigest()[:12]


def _file_digest(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


def _crop_sizes(config: Config) -> list[int]:
    return [crop['size'] for crop in find_transforms(config.test_dataloader.dataset, 'CropRegions')]


def _drop_transform(node: object, name: str) -> None:
    """Remove the transforms of a type from all lists below a node of a config."""
    if isinstance(node, dict):
        node = list(node.values())
    elif isinstance(node, list):
        node[:] = [part for part in node if type_name(part) != name]
    if isinstance(node, list | tuple):
        for part in node:
            _drop_transform(part, name)


def find_transforms(node: object, name: str) -> Iterator[dict]:
    """Find the transforms of a type below a node of a config, also in wrapped data sets.

    Args:
        node: Config of a data set, or a part of it.
        name: Type of the transform, without scope.

    Yields:
        The configs of the transforms, not copied.
    """
    if isinstance(node, dict):
        if type_name(node) == name:
            yield node
        node = list(node.values())
    if isinstance(node, list | tuple):
        for part in node:
            yield from find_transforms(part, name)


def type_name(node: object) -> str | None:
    """Name of the `type` of a config (a string or a class) without scope, or None."""
    kind = node.get('type') if isinstance(node, dict) else None
    return None if kind is None else getattr(kind, '__name__', str(kind)).rpartition('.')[2]


def input_size(config: Config) -> int:
    """Side in pixels of the padded square of a config's test images.

    Raises:
        ValueError: The test pipeline has no ``ResizeLongest``, the preprocessor has no
            ``image_size``, or they differ.
    """
    if config.get('test_dataloader') is None:
        raise ValueError(f'{config.filename}: expected a test_dataloader, found none')
    resizes = list(find_transforms(config.test_dataloader.dataset, 'ResizeLongest'))
    if not resizes:
        raise ValueError(
            f'{config.filename}: expected ResizeLongest in the pipeline of test_dataloader, '
            'found none'
        )
    padded = config.model.get('data_preprocessor', {}).get('image_size')
    if padded is None:
        raise ValueError(
            f'{config.filename}: expected image_size in model.data_preprocessor, found none'
        )
    sizes = {resize['size'] for resize in resizes}
    if sizes != {padded}:
        raise ValueError(
            f'{config.filename}: ResizeLongest has size {sorted(sizes)}, '
            f'model.data_preprocessor.image_size is {padded}: expected one size'
        )
    return padded


def set_input_size(config: Config, size: int) -> None:
    """Set the size of a config's test images, in the pipeline and in the preprocessor.

    Args:
        config: Changed in place.
        size: Side of the padded square in pixels.

    Raises:
        ValueError: See ``input_size``.
    """
    input_size(config)
    for resize in find_transforms(config.test_dataloader.dataset, 'ResizeLongest'):
        resize['size'] = size
    config.model.data_preprocessor.image_size = size


def check_sizes(sizes: Sequence[int], patch_size: int) -> None:
    """Check that all sizes are multiples of the patch size.

    Args:
        sizes: Sides in pixels.
        patch_size: Side of a patch in pixels.

    Raises:
        ValueError: There is no size, a size occurs twice, or a size is not a multiple of the patch
            size.
    """
    if not sizes or len(set(sizes)) != len(sizes):
        raise ValueError(f'sizes: expected at least one, each once, got {list(sizes)}')
    wrong = [size for size in sizes if size < patch_size or size % patch_size]
    if wrong:
        pairs = [(size // patch_size * patch_size, size) for size in wrong]
        advice = [
            f'{size} (nearest: {f"{below} and " if below > 0 else ""}{below + patch_size})'
            for below, size in pairs
        ]
        raise ValueError(
            f'sizes: expected multiples of the patch size {patch_size} px, got {", ".join(advice)}'
        )
