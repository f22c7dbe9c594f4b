"""Compare the activation that a file records, QuickGELU or GELU, with that of a model."""

from __future__ import annotations

from functools import cache
from typing import Any

from mmengine.logging import print_log
from torch import nn

from .weights.activation_record import RECORD
from .weights.checkpoints import Checkpoint
from .weights.tower_source import TowerSource

_NAMES = {True: 'QuickGELU', False: 'GELU'}


def check_activation(checkpoint: Checkpoint, source: TowerSource, origin: str) -> None:
    """Check that weights were trained with the activation of a model.

    If neither the file nor open_clip's list of tags says it, one line in the log does. Towers of
    timm have one activation only.

    Args:
        checkpoint: Content of a file.
        source: The model, for its image tower or its text tower.
        origin: The file, for the error.

    Raises:
        ValueError: The file records the other activation.
    """
    if checkpoint.quick_gelu is not None:
        _compare(checkpoint.quick_gelu, source, origin)
    elif source.tag is None and 'timm_model_name' not in source.config['vision_cfg']:
        _say_once(
            f'{origin}: the activation cannot be told from this file; {source.model} has '
            f"{_NAMES[source.quick_gelu]} (OpenAI's weights need QuickGELU)"
        )


def record_activation(
    tower: Any,  # noqa: ANN401
    state: dict,
    prefix: str,
    metadata: dict[str, Any],
) -> None:
    """Hook of torch for the state dict of a tower: record its activation in the metadata."""
    if tower.source is not None:
        metadata[RECORD] = tower.source.quick_gelu


def check_metadata(tower: nn.Module, metadata: dict[str, Any], prefix: str) -> None:
    """Check that a state dict is that of a tower with the same activation.

    Args:
        tower: The tower that loads it.
        metadata: The tower's metadata in the state dict.
        prefix: Prefix of its keys.

    Raises:
        ValueError: It records the other activation.
    """
    recorded = metadata.get(RECORD)
    if isinstance(recorded, bool) and isinstance(tower.source, TowerSource):
        _compare(recorded, tower.source, f'the checkpoint, {prefix}*')


def _compare(recorded: bool, source: TowerSource, origin: str) -> None:
    if recorded == source.quick_gelu:
        return
    if ':' in source.model:
        advice = f'use a model with "{RECORD}": {str(recorded).lower()} in its configuration'
    elif recorded:
        advice = f'use the model "{source.model}-quickgelu"'
    else:
        advice = f'use the model "{source.model.removesuffix("-quickgelu")}"'
    raise ValueError(
        f'{origin}: was trained with {_NAMES[recorded]}, {source.model} has '
        f'{_NAMES[source.quick_gelu]}: {advice}'
    )


@cache
def _say_once(text: str) -> None:
    """Student, teacher and text tower read the same file."""
    print_log(text, logger='current')
