"""mmengine's checkpoints, read without running code from them.

mmengine opens `load_from`, `--resume` and the checkpoints of its inferencers with `torch.load`,
which runs any code in a pickle; onedl-mmengine tries `weights_only` first and falls back to that.
Importing `clipself_mm` registers the loaders below in mmengine's `CheckpointLoader`, for local
paths, URLs, object stores and files inside an installed package (`pkg:PACKAGE/FILE`), in every mm
tool. Files are those of `torch.save` or safetensors.
"""

from __future__ import annotations

import inspect
import json
import logging
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, get_dist_info
from mmengine.fileio import get_local_path
from mmengine.logging import HistoryBuffer, print_log
from mmengine.runner.checkpoint import CheckpointLoader
from safetensors import safe_open
from torch import Tensor

from .clip.weights.tensor_pickle import TENSORS
from .clip.weights.tower_source import package_path
from .clip.weights.weight_file import is_safetensors, read_objects
from .io.safe_pickle import ARRAYS, SCALARS, Builder, ForbiddenNameError, Placeholder
from .io.text_files import require_file

_SHOWN = 5

DATASET_META = 'dataset_meta'
"""Entry in the header of a detector's safetensors: mmengine's `dataset_meta`, as json."""
MODULE_METADATA = 'module_metadata'
"""Entry in the same header: what torch's state dicts say of each module, as json."""


class _HistoryBuffer:
    """Builds a `HistoryBuffer`; a pickle can set state on that, not on its class."""

    def __new__(cls) -> Any:  # noqa: ANN401
        return HistoryBuffer.__new__(HistoryBuffer)

    def __setstate__(self, state: object) -> None:
        raise AttributeError('only the built object has a state')


def _statistic(owner: object, name: str) -> object:
    """A method of `HistoryBuffer`, of which each one has a table; nothing else of an object."""
    if owner is _HistoryBuffer and isinstance(name, str) and not name.startswith('_'):
        method = inspect.getattr_static(HistoryBuffer, name, None)
        if inspect.isfunction(method):
            return method
    return Placeholder()


TRAINING_CHECKPOINT: Mapping[str, object] = {
    **ARRAYS,
    **SCALARS,
    **TENSORS,
    'builtins.frozenset': frozenset,
    'builtins.getattr': Builder(_statistic),
    'mmengine.logging.history_buffer.HistoryBuffer': _HistoryBuffer,
    'torch.device': Builder(torch.device),
}
"""Tensors, containers, numbers and arrays of numpy, and the log of mmengine's message hub."""


def read_training_checkpoint(
    path: str | Path,
    map_location: object = None,
) -> Any:  # noqa: ANN401
    """Read a checkpoint of an mm training, with the states of optimiser, schedulers and logs.

    Args:
        path: A local file.
        map_location: Device or its name; None and other kinds: the CPU.

    Returns:
        The content. Objects of numpy, mmengine, mmcv and mmdet that are not in
        `TRAINING_CHECKPOINT` are `Placeholder`s; a warning names them. Of safetensors it is the
        tensors, or what `torch.save` would hold if the header has a `DATASET_META`.

    Raises:
        FileNotFoundError, IsADirectoryError: There is no such file.
        ValueError: It is broken, or its pickle refers to other code.
    """
    path = Path(path).expanduser()
    require_file(path, 'a checkpoint file')
    try:
        content = read_objects(path, TRAINING_CHECKPOINT)
        if is_safetensors(path):
            content = _with_header(path, content)
        ignored = list(_placeholders(content, '', set()))
        if (
            isinstance(map_location, (str, torch.device))
            and torch.device(map_location).type != 'cpu'
        ):
            content = _moved(content, torch.device(map_location), {})
    except ForbiddenNameError as error:
        raise ValueError(
            f'{path}: expected a training checkpoint of tensors and logs; its pickle refers to '
            f'{error}, which was not run. If you trust the file, save its state dict to a new one'
        ) from error
    except Exception as error:  # broken files raise many kinds of errors
        raise ValueError(f'{path}: not a valid checkpoint file: {error}') from error
    if ignored:
        more = ', ...' if len(ignored) > _SHOWN else ''
        print_log(
            f'{path}: {len(ignored)} objects are no data and were left out: '
            f'{", ".join(ignored[:_SHOWN])}{more}',
            logger='current',
            level=logging.WARNING,
        )
    return content


def _with_header(path: Path, tensors: Any) -> dict:  # noqa: ANN401
    """State dict and metadata of a detector in safetensors; other files' tensors as they are."""
    with safe_open(path, framework='pt') as file:
        header = file.metadata() or {}
    if DATASET_META not in header:
        return tensors
    dataset_meta, modules = (
        json.loads(header.get(k, '{}')) for k in (DATASET_META, MODULE_METADATA)
    )
    if not isinstance(dataset_meta, dict) or not isinstance(modules, dict):
        raise ValueError(f'{DATASET_META} and {MODULE_METADATA} of its header must be dictionaries')
    state = OrderedDict(tensors)
    state._metadata = OrderedDict(modules)  # type: ignore[attr-defined]
    return dict(meta=dict(dataset_meta=dataset_meta), state_dict=state)


def _placeholders(content: object, name: str, visited: set[int]) -> Iterator[str]:
    """Dotted names of the `Placeholder`s in nested dictionaries and lists, each visited once."""
    if isinstance(content, Placeholder):
        yield name
    elif isinstance(content, (Mapping, list, tuple)) and id(content) not in visited:
        visited.add(id(content))
        items = content.items() if isinstance(content, Mapping) else enumerate(content)
        for key, value in items:
            yield from _placeholders(value, f'{name}.{key}' if name else str(key), visited)


def _moved(content: Any, device: torch.device, done: dict[int, object]) -> Any:  # noqa: ANN401
    """Move the tensors in nested dictionaries and lists, in place but for tuples."""
    if id(content) in done:
        return done[id(content)]
    if isinstance(content, Tensor):
        done[id(content)] = content.to(device)
    elif type(content) is tuple:
        done[id(content)] = tuple(_moved(value, device, done) for value in content)
    elif isinstance(content, (dict, list)):
        done[id(content)] = content
        items = content.items() if isinstance(content, dict) else enumerate(content)
        for key, value in list(items):
            content[key] = _moved(value, device, done)
    return done.get(id(content), content)


# mmengine logs the part of a loader's name after `load_from_`.


def load_from_local(filename: str, map_location: object = None) -> Any:  # noqa: ANN401
    """Loader of local paths."""
    return read_training_checkpoint(filename, map_location)


def load_from_http(filename: str, map_location: object = None) -> Any:  # noqa: ANN401
    """Loader of URLs; rank 0 downloads into torch's cache before the others look there."""
    path = Path(torch.hub.get_dir(), 'checkpoints', Path(urlparse(filename).path).name)
    for is_turn in (get_dist_info()[0] == 0, True):
        if is_turn and not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(filename, str(path))
        barrier()
    return read_training_checkpoint(path, map_location)


def load_from_ceph(filename: str, map_location: object = None) -> Any:  # noqa: ANN401
    """Loader of object stores."""
    with get_local_path(filename, backend_args=dict(backend='petrel')) as path:
        return read_training_checkpoint(path, map_location)


def load_from_package(filename: str, map_location: object = None) -> Any:  # noqa: ANN401
    """Loader of files inside an installed package: `pkg:PACKAGE/FILE`."""
    return read_training_checkpoint(package_path(filename.removeprefix('pkg:')), map_location)


def register_loaders() -> None:
    """Replace mmengine's loaders of files, and add that of packages."""
    for prefixes, loader in (
        ('', load_from_local),
        ('pkg:', load_from_package),
        (('http://', 'https://'), load_from_http),
        ((r'(\S+\:)?s3://', r'(\S+\:)?petrel://'), load_from_ceph),
    ):
        CheckpointLoader.register_scheme(prefixes, loader, force=True)
