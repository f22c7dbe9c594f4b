"""Configs and weights by the names of `model-index.yml`."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import mmengine

INDEX = 'model-index.yml'


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
    package = Path(__file__).parent
    root = next(path for path in (package / '.mim', package.parent) if (path / INDEX).is_file())
    models = {model['Name']: model for model in mmengine.load(root / INDEX)['Models']}
    if name not in models:
        similar = get_close_matches(name, models, n=3, cutoff=0.5)
        raise ValueError(f'{INDEX} has no model {name!r}; similar names: {", ".join(similar)}')
    return IndexedModel(root / models[name]['Config'], models[name].get('Weights'))
