"""Configs by name or path, models with weights by the names of `model-index.yml`."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import mmengine

INDEX = 'model-index.yml'
CONFIG_HELP = 'config: a file, or the name or path (configs/...) of one of the package'


class IndexedModel(NamedTuple):
    """An entry of the index."""

    config: Path
    """Its config file."""
    weights: str | None
    """Path, URL or `pkg:PACKAGE/FILE` of its weights; None where none are published."""


def find_model(name: str) -> IndexedModel:
    """Look up a model, in a checkout or in an installed package.

    Args:
        name: Its name, which is that of its config file without ending.

    Raises:
        ValueError: The index has no such name.
    """
    root = _root()
    models = {model['Name']: model for model in mmengine.load(root / INDEX)['Models']}
    if name not in models:
        raise ValueError(f'{INDEX} has no model {name!r}{_similar(name, models)}')
    return IndexedModel(root / models[name]['Config'], models[name].get('Weights'))


def find_config(given: str) -> str:
    """Look up a config.

    Args:
        given: Its file; or, of a config of the package, the path `configs/...` or the name, which
            is that of the file without ending.

    Raises:
        FileNotFoundError: There is none.
    """
    if Path(given).is_file():
        return given
    root = _root()
    if given.endswith('.py'):
        if Path(given).parts[0] == 'configs' and (root / given).is_file():
            return str(root / given)
        raise FileNotFoundError(f'{given}: there is no such config here, nor in {root / "configs"}')
    configs = {path.stem: str(path) for path in sorted(root.glob('configs/**/*.py'))}
    if given not in configs:
        hint = _similar(given, configs)
        raise FileNotFoundError(f'{given}: there is no such file and no config of this name{hint}')
    return configs[given]


def config_file(given: str) -> str:
    """The type of a tool's config argument: `find_config`, with the parser's kind of error."""
    try:
        return find_config(given)
    except FileNotFoundError as error:
        raise ArgumentTypeError(str(error)) from error


def _root() -> Path:
    """The folder with the index and the configs: a checkout, or `.mim` in a wheel."""
    package = Path(__file__).parent
    return next(path for path in (package / '.mim', package.parent) if (path / INDEX).is_file())


def _similar(name: str, names: Iterable[str]) -> str:
    """Part of an error: the most similar names, if any."""
    similar = get_close_matches(name, names, n=3, cutoff=0.5)
    return f'; similar names: {", ".join(similar)}' if similar else ''
