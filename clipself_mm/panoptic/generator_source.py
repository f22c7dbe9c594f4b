"""Where a generator of masks comes from: a config, a file of mmdet, a checkpoint."""

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
        given: Itself; or a file whose `model` it is, of an mm package (``mmdet::FOLDER/FILE.py``)
            or a path.

    Returns:
        A copy.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file has no `model`.
    """
    if not isinstance(given, str):
        return ConfigDict(given).deepcopy()
    config = get_config(given) if '::' in given else Config.fromfile(given)
    if 'model' not in config:
        raise ValueError(f'{given} has no `model`, expected the config of a MaskFormer')
    return config.model


def load_generator(generator: nn.Module, path: str) -> None:
    """Load a checkpoint that mmdet wrote.

    Args:
        generator: Takes the weights.
        path: File or URL.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Weights are missing or of another shape; names some.
    """
    content = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    state = content.get('state_dict', content)
    own = generator.state_dict()
    wrong = [key for key in own if key not in state or state[key].shape != own[key].shape]
    if wrong:
        raise ValueError(
            f'{path} does not fit the generator: {len(wrong)} of {len(own)} weights are missing '
            f'or of another shape, as {wrong[:3]}'
        )
    if over := sorted(state.keys() - own.keys()):
        print_log(
            f'{path}: the generator has no place for {len(over)} weights, as {over[:3]}',
            logger='current',
            level=logging.WARNING,
        )
    generator.load_state_dict({key: state[key] for key in own})
