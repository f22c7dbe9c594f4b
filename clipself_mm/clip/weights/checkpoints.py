"""Load CLIP weights from any supported file into towers.

A canonical state dict has the keys of open_clip's full model: ``visual.*``, the text tower and
``logit_scale``. ``weight_file.py`` opens files, ``layouts.py`` renames their keys,
``tower_export.py`` writes them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from .activation_record import read_activation
from .layouts import Layout, to_open_clip
from .tower_source import TowerSource
from .weight_file import read_weight_file
from .weight_shards import refuse_shard

State = dict[str, Tensor]

_logger = logging.getLogger(__name__)


class Checkpoint(NamedTuple):
    """The canonical state of a CLIP and what its file says about it."""

    state: State
    layout: Layout
    quick_gelu: bool | None
    """Whether the CLIP has QuickGELU; None if the file does not say."""


def read_checkpoint(path: str | Path, trust_pickle: bool = False) -> Checkpoint:
    """Read a CLIP from any file that ``docs/checkpoints.md`` lists.

    Args:
        path: The file.
        trust_pickle: Run the file's pickle, see ``read_weight_file``.

    Returns:
        Canonical state, on the CPU, the layout and the activation.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is broken, holds code, is not a CLIP, has unexpected keys, or weights
            that are not finite real numbers.
    """
    refuse_shard(Path(path))
    content = read_weight_file(path, trust_pickle)
    state, layout = to_open_clip(content, str(path))
    check_finite(state, str(path))
    _logger.info('%s: checkpoint kind %s, key style %s', path, layout.kind, layout.key_style)
    return Checkpoint(state, layout, read_activation(path, content, layout))


def read_state(path: str | Path) -> State:
    """The state of ``read_checkpoint``."""
    return read_checkpoint(path).state


def check_finite(state: Mapping[str, Tensor], origin: str) -> None:
    """Check that weights are finite real numbers.

    Args:
        state: State dict.
        origin: File that the state is read from or written to, for the error.

    Raises:
        ValueError: A tensor has NaN or inf, or is complex.
    """
    bad = [key for key, value in state.items() if value.is_complex() or not _is_finite(value)]
    if bad:
        found = 'complex numbers' if state[bad[0]].is_complex() else 'NaN or inf'
        raise ValueError(
            f'{origin}: {len(bad)} of {len(state)} tensors are not finite real numbers; the first, '
            f'{bad[0]}, has {found}'
        )


def _is_finite(value: Tensor) -> bool:
    if value.element_size() == 1:  # torch has no isfinite for float8
        value = value.float()
    return not value.is_floating_point() or bool(value.isfinite().all())


def load_visual(module: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """Load the image tower of a canonical state.

    Args:
        module: A ``VisionTower``.
        state: Canonical state; keys of the text tower are ignored.
        origin: File of the state, for the error.
    """
    _load_exactly(module, {k: v for k, v in state.items() if k.startswith('visual.')}, origin)


def load_text(module: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """Load the text tower of a canonical state, with or without the prefix ``text.``.

    Args:
        module: open_clip's text tower.
        state: Canonical state; keys of the image tower are ignored.
        origin: File of the state, for the error.
    """
    rest = {k: v for k, v in state.items() if not k.startswith(('visual.', 'logit_'))}
    if not rest:
        raise ValueError(
            f'{origin}: expected a CLIP with its text tower, found an image tower only; give the '
            'file of the full CLIP'
        )
    _load_exactly(module, {k.removeprefix('text.'): v for k, v in rest.items()}, origin)


def state_dict_mismatch(expected: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[str]:
    """Differences between a state dict and that of a model.

    Args:
        expected: The model's state dict.
        state: The state dict to load.

    Returns:
        One line per tensor that is missing, unexpected, of another shape, or of integers instead of
        floats.
    """
    problems = [f'missing {key}' for key in expected if key not in state]
    problems += [f'unexpected {key}' for key in state if key not in expected]
    for key in expected:
        if key not in state:
            continue
        if state[key].shape != expected[key].shape:
            problems.append(
                f'{key} is {tuple(state[key].shape)} in the file, {tuple(expected[key].shape)} in '
                'the model'
            )
        elif expected[key].is_floating_point() and not state[key].is_floating_point():
            problems.append(f'{key} is {state[key].dtype} in the file, not a float')
    return problems


def _load_exactly(module: nn.Module, state: State, origin: str) -> None:
    problems = state_dict_mismatch(module.state_dict(), state)
    if problems:
        listed = '\n  '.join(problems)
        raise ValueError(f'{origin}: does not match the model:\n  {listed}')
    module.load_state_dict(state)


_INIT_LOGIT_SCALE = math.log(1 / 0.07)
"""Initial `logit_scale` of open_clip."""


def read_logit_scale(source: TowerSource) -> float:
    """The factor between cosines and logits of a CLIP: exp of `logit_scale`.

    Args:
        source: Source of a tower; without a checkpoint the result is open_clip's initial value.

    Returns:
        About 100 for OpenAI's and EVA's towers.

    Raises:
        FileNotFoundError: The checkpoint is missing.
        ValueError: The checkpoint has no `logit_scale`, such as a file of an image tower only.
    """
    if source.checkpoint is None:
        return math.exp(source.config.get('init_logit_scale', _INIT_LOGIT_SCALE))
    state = read_state(source.checkpoint)
    if 'logit_scale' not in state:
        raise ValueError(
            f"{source.checkpoint}: expected a full CLIP with 'logit_scale', found none"
        )
    return float(state['logit_scale'].float().exp())
