"""The temperature that a CLIP was trained with, read from its checkpoint."""

from __future__ import annotations

import math

from .checkpoints import read_state
from .tower_source import TowerSource

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
