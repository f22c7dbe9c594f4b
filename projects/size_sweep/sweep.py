"""Region accuracy against the size of the dense input (paper, Figure A1)."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

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


def find_transforms(node: object, name: str) -> Iterator[dict]:
    """Every transform of a type below a node of a config, whatever wraps its data set.

    Args:
        node: A data set's config, or a part of it.
        name: Type of the transform, without a registry's prefix.

    Yields:
        The transforms' configs themselves, to be changed in place.
    """
    if isinstance(node, dict):
        if type_name(node) == name:
            yield node
        node = list(node.values())
    if isinstance(node, list | tuple):
        for part in node:
            yield from find_transforms(part, name)


def type_name(node: object) -> str | None:
    """The type a config names, by word or by class, without a prefix; None if it names none."""
    kind = node.get('type') if isinstance(node, dict) else None
    return None if kind is None else getattr(kind, '__name__', str(kind)).rpartition('.')[2]


def input_size(config: Config) -> int:
    """Side in pixels of the padded square that a config's test images are brought to.

    Raises:
        ValueError: The config has no ``ResizeLongest`` in its test pipeline or no ``image_size`` of
            the preprocessor, or they do not agree.
    """
    if config.get('test_dataloader') is None:
        raise ValueError(f'{config.filename}: expected a test_dataloader to measure with')
    resizes = list(find_transforms(config.test_dataloader.dataset, 'ResizeLongest'))
    if not resizes:
        raise ValueError(f'{config.filename}: no ResizeLongest in the pipeline of test_dataloader')
    padded = config.model.get('data_preprocessor', {}).get('image_size')
    if padded is None:
        raise ValueError(f'{config.filename}: expected an image_size in model.data_preprocessor')
    sizes = {resize['size'] for resize in resizes}
    if sizes != {padded}:
        raise ValueError(
            f'{config.filename}: ResizeLongest names {sorted(sizes)} px, '
            f'model.data_preprocessor.image_size {padded}; expected one size'
        )
    return padded


def set_input_size(config: Config, size: int) -> None:
    """Bring a config's test images to another size, in its pipeline and its preprocessor.

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
    """Refuse sizes that a tower cannot divide into whole patches.

    Args:
        sizes: Sides in pixels.
        patch_size: Side of a token in pixels.

    Raises:
        ValueError: There is none, one is doubled, or one is no multiple; names its neighbours.
    """
    if not sizes or len(set(sizes)) != len(sizes):
        raise ValueError(f'expected different sizes, at least one, got {list(sizes)}')
    wrong = [size for size in sizes if size < patch_size or size % patch_size]
    if wrong:
        pairs = [(size // patch_size * patch_size, size) for size in wrong]
        advice = [
            f'{size} (allowed near it: {f"{below} and " if below > 0 else ""}{below + patch_size})'
            for below, size in pairs
        ]
        raise ValueError(
            f'sizes must be multiples of the {patch_size} px of a patch, got {", ".join(advice)}'
        )
