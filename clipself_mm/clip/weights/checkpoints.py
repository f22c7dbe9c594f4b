"""CLIP weights from any known file into towers.

A state dict is canonical when its keys are those of open_clip's full model: ``visual.*``, the text
tower's and ``logit_scale``. ``weight_file.py`` opens files, ``layouts.py`` knows their names,
``tower_export.py`` writes them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from .layouts import Layout, to_open_clip
from .tower_source import TowerSource
from .weight_file import read_weight_file

State = dict[str, Tensor]

_logger = logging.getLogger(__name__)


class Checkpoint(NamedTuple):
    """A CLIP's weights and the layout they were found in."""

    state: State
    layout: Layout


def read_checkpoint(path: str | Path, trust_pickle: bool = False) -> Checkpoint:
    """Read a CLIP from any file that ``docs/checkpoints.md`` lists.

    Args:
        path: The file.
        trust_pickle: Run the file's pickle, see ``read_weight_file``.

    Returns:
        Canonical names to tensors, on the CPU, and the layout.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is broken, holds code, is no CLIP, or has names that no CLIP has.
    """
    state, layout = to_open_clip(read_weight_file(path, trust_pickle), str(path))
    _logger.info('%s: a %s with the names of %s', path, layout.holder, layout.naming)
    return Checkpoint(state, layout)


def read_state(path: str | Path) -> State:
    """The weights of ``read_checkpoint``; arguments and errors are its own."""
    return read_checkpoint(path).state


def check_activation(checkpoint: Checkpoint, source: TowerSource, origin: str) -> None:
    """Make sure that OpenAI's weights meet the activation that they were trained with.

    Only OpenAI's own files tell; no other layout says which activation its weights are for.

    Args:
        checkpoint: What a file holds.
        source: The model it is to be loaded into, image tower or text tower.
        origin: The file, for the error.

    Raises:
        ValueError: The checkpoint is OpenAI's and the model has another activation.
    """
    if checkpoint.layout.naming == 'OpenAI' and not source.config.get('quick_gelu', False):
        raise ValueError(
            f"{origin}: OpenAI's weights were trained with QuickGELU, which {source.model} does "
            f'not have: name the model "{source.model}-quickgelu"'
        )


def load_visual(module: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """Load the image tower's part of a canonical state into a module whose keys are ``visual.*``.

    Args:
        module: A ``VisionTower``.
        state: Canonical state; keys of the text tower are ignored.
        origin: File the state came from, for the error.

    Raises:
        ValueError: Keys are missing or left over, or a shape differs; all are listed.
    """
    _load_exactly(module, {k: v for k, v in state.items() if k.startswith('visual.')}, origin)


def load_text(module: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """Load the text tower's part of a canonical state, nested under ``text.`` or not.

    Args:
        module: open_clip's text tower.
        state: Canonical state; keys of the image tower are ignored.
        origin: File the state came from, for the error.

    Raises:
        ValueError: Keys are missing or left over, or a shape differs; all are listed.
    """
    rest = {k: v for k, v in state.items() if not k.startswith(('visual.', 'logit_'))}
    if not rest:
        raise ValueError(
            f'{origin}: expected a CLIP with its text tower, found an image tower alone; give the '
            'file that the tower was made from'
        )
    _load_exactly(module, {k.removeprefix('text.'): v for k, v in rest.items()}, origin)


def state_dict_mismatch(expected: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[str]:
    """What keeps a state dict from loading into a model.

    Args:
        expected: The model's state dict.
        state: The one to load.

    Returns:
        A line for every tensor that is missing, left over or of another shape; none if all fits.
    """
    problems = [f'missing {key}' for key in expected if key not in state]
    problems += [f'left over {key}' for key in state if key not in expected]
    return problems + [
        f'{key} is {tuple(state[key].shape)} in the file, {tuple(expected[key].shape)} in the model'
        for key in expected
        if key in state and state[key].shape != expected[key].shape
    ]


def _load_exactly(module: nn.Module, state: State, origin: str) -> None:
    problems = state_dict_mismatch(module.state_dict(), state)
    if problems:
        listed = '\n  '.join(problems)
        raise ValueError(f'{origin}: does not fit the model it is loaded into:\n  {listed}')
    module.load_state_dict(state)


_UNTRAINED = math.log(1 / 0.07)
"""Where open_clip starts the logarithm."""


def read_logit_scale(source: TowerSource) -> float:
    """The factor between a CLIP's cosines and its logits: exp of `logit_scale`.

    Args:
        source: Of a tower. Without a checkpoint, as its weights are random, it is the factor that
            open_clip starts with.

    Returns:
        About 100 for OpenAI's and EVA's towers.

    Raises:
        FileNotFoundError: The checkpoint is missing.
        ValueError: The checkpoint has no `logit_scale`, as a file of an image tower alone.
    """
    if source.checkpoint is None:
        return math.exp(source.config.get('init_logit_scale', _UNTRAINED))
    state = read_state(source.checkpoint)
    if 'logit_scale' not in state:
        raise ValueError(
            f"{source.checkpoint}: expected a whole CLIP with its 'logit_scale', found none"
        )
    return float(state['logit_scale'].float().exp())
