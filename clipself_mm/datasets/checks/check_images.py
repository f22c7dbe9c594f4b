"""Checks every image of a data set: its size by the header, or all pixels."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mmengine.dataset import BaseDataset

from ..sharded_images import ShardedImages
from ..structures import ImageReadError
from ..transforms.load_rgb import LoadRGB
from ..unlabelled_images import UnlabelledImages
from .check_files import Finding

_SHOWN = 3
_CHUNK = 64


@dataclass(frozen=True)
class ImageChecks:
    """What is checked of each image.

    Attributes:
        deep: Whether images and label maps are decoded as in a run; else their headers are read.
        workers: Number of processes.
        record: A text file of the images that were checked, so that a stopped check goes on; None
            for none. An image that has changed is checked again.
        progress: Progress bar, called like ``tqdm``.
    """

    deep: bool = False
    workers: int = 0
    record: Path | None = None
    progress: Callable[..., Iterable] | None = None


def check_images(dataset: BaseDataset, checks: ImageChecks) -> Iterator[Finding]:
    """Check the images of a data set.

    Args:
        dataset: Its samples have `img_path`. Of images without annotation, headers are not read.
        checks: What is checked.

    Yields:
        One finding with the number of images and of those that cannot be used, with the first.
    """
    if not isinstance(dataset, BaseDataset) or not len(dataset):
        return
    if not checks.deep and isinstance(dataset, (UnlabelledImages, ShardedImages)):
        return  # no sizes to compare
    known = _read_record(checks.record) if checks.deep and checks.record else {}
    task = _Task(dataset, checks.deep, known)
    results: Iterable[_Result] = _run(task, len(dataset), checks.workers)
    if checks.progress is not None:
        name = Path(dataset.ann_file).name
        results = checks.progress(results, total=len(dataset), desc=f'images of {name}')
    bad, count = [], 0
    with contextlib.ExitStack() as stack:
        file = None
        if checks.deep and checks.record:
            file = stack.enter_context(checks.record.open('a', encoding='utf-8'))
            file.write('\n')  # a kill may have cut the last line off
        for result in results:
            count += 1
            if file is not None and result.state and known.get(result.path) != result:
                file.write(json.dumps(result) + '\n')
                file.flush()
            if result.problem:
                bad.append(result.problem)
    kind = 'decoded' if checks.deep else 'sizes as in their headers'
    if bad:
        more = '; ...' if len(bad) > _SHOWN else ''
        text = f'{len(bad)} of {count} images cannot be used: {"; ".join(bad[:_SHOWN])}{more}'
        yield Finding(dataset.ann_file, text)
    else:
        yield Finding(dataset.ann_file, note=f'{count:,} images, {kind}')


class _Result(NamedTuple):
    """Result of one image: its path, bytes and time of its files, what is wrong."""

    path: str
    state: str
    problem: str


class _Task:
    """Checks the image of an index of a data set."""

    def __init__(self, dataset: BaseDataset, deep: bool, known: Mapping[str, _Result]) -> None:
        self.dataset = dataset
        self.known = known
        steps = dataset.pipeline.transforms
        self.steps = [step for step in steps if type(step).__name__.startswith('Load')]
        readers = [step for step in steps if isinstance(step, LoadRGB)]
        self.reader = readers[0] if readers else LoadRGB()
        self.deep = deep

    def __call__(self, index: int) -> _Result:
        info = self.dataset.get_data_info(index)
        path, state = info['img_path'], _state(info)
        if self.deep and path in self.known and self.known[path].state == state:
            return self.known[path]
        try:
            if self.deep:
                for step in self.steps:
                    info = step(info)
            else:
                self.reader.check(info)
        except (ImageReadError, OSError, ValueError, KeyError) as error:
            text = str(error) if isinstance(error, ImageReadError) else f'{path}: {error!r}'
            return _Result(path, state, text)
        return _Result(path, state, '')


def _state(info: dict) -> str:
    """Bytes and times of the files of an image; empty if one is not a local file."""
    try:
        stats = [os.stat(info[key]) for key in ('img_path', 'seg_map_path') if info.get(key)]
    except OSError:
        return ''
    return ' '.join(f'{stat.st_size} {stat.st_mtime_ns}' for stat in stats)


def _run(task: _Task, count: int, workers: int) -> Iterator[_Result]:
    """Results of all images in their order."""
    if not workers:
        yield from map(task, range(count))
        return
    with multiprocessing.Pool(workers, _keep, (task,)) as pool:
        yield from pool.imap(_run_kept, range(count), _CHUNK)


_kept: list[_Task] = []
"""The task of a worker process."""


def _keep(task: _Task) -> None:
    _kept[:] = [task]


def _run_kept(index: int) -> _Result:
    return _kept[0](index)


def _read_record(path: Path) -> dict[str, _Result]:
    """Results of an earlier check; a last line that a kill cut off is not used."""
    if not path.is_file():
        return {}
    found = {}
    for line in path.read_text(encoding='utf-8').splitlines():
        with contextlib.suppress(ValueError, TypeError):
            result = _Result(*json.loads(line))
            found[result.path] = result
    return found
