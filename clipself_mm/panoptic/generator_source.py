"""Reading of config and checkpoint of a mask generator."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from mmengine.config import Config, ConfigDict
from mmengine.hub import get_config
from mmengine.logging import print_log
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn


def read_generator(given: Mapping | str) -> ConfigDict:
    """Config of a generator.

    Args:
        given: The config; or a config file with `model`, a path or a file of an mm package
            (``mmdet::FOLDER/FILE.py``).

    Returns:
        A copy.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file has no `model`.
    """
    if not isinstance(given, str):
        return ConfigDict(given).deepcopy()
    config = get_config(given) if '::' in given else Config.fromfile(given)
    if 'model' not in config:
        raise ValueError(f'{given} has no `model`, expected the config of a MaskFormer')
    return config.model


def load_generator(generator: nn.Module, path: str) -> None:
    """Load a checkpoint of mmdet; unexpected keys are ignored with a warning.

    Args:
        generator: Changed in place.
        path: File or URL.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: State dict mismatch: keys are missing or shapes differ.
    """
    content = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    state = content.get('state_dict', content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping):
        raise ValueError(f'{path}: expected a state dict, found a {type(content).__name__}')
    expected = generator.state_dict()
    wrong = [
        key for key in expected if getattr(state.get(key), 'shape', None) != expected[key].shape
    ]
    if wrong:
        raise ValueError(
            f'{path} does not fit the generator: {len(wrong)} of {len(expected)} keys are missing '
            f'or differ in shape, for example {wrong[:3]}'
        )
    if unexpected := sorted(state.keys() - expected.keys()):
        print_log(
            f'{path}: ignored {len(unexpected)} keys that the generator does not have, '
            f'for example {unexpected[:3]}',
            logger='current',
            level=logging.WARNING,
        )
    generator.load_state_dict({key: state[key] for key in expected})
