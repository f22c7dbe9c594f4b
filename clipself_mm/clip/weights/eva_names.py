"""EVA-CLIP's original names of an image tower and open_clip's, in both directions.

The authors' CLIPSelf and region-text checkpoints use the original names, open_clip timm's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

from ..positions import rope_table

State = dict[str, Tensor]

MARKER_KEY = 'visual.patch_embed.proj.weight'
ROPE_BUFFER = re.compile(r'(.+\.)?rope\.(flag|freqs_(cos|sin)(_\d+)?)')
"""Buffers that follow from the input's grid; written for the authors' code, never read.

Their code keeps one more pair for each number of tokens it meets (`freqs_cos_1600`) and counts the
pairs (`flag`), so a file that was saved after a run has any number of them.
"""

_TRUNK = 'visual.trunk.'
SPLIT = f'{_TRUNK}blocks.0.attn.q_proj.weight'
"""Only there, in open_clip's names, where queries, keys and values are projected apart."""
_PAIRS = (
    ('.attn.inner_attn_ln.', '.attn.norm.'),
    ('.mlp.w1.', '.mlp.fc1_g.'),
    ('.mlp.w2.', '.mlp.fc1_x.'),
    ('.mlp.w3.', '.mlp.fc2.'),
    ('.mlp.ffn_ln.', '.mlp.norm.'),
)
_BIAS_PAIRS = (
    ('.attn.q_bias', '.attn.q_proj.bias'),
    ('.attn.v_bias', '.attn.v_proj.bias'),
)
"""Only where queries, keys and values are projected apart; packed, timm keeps the old names."""


def from_original(state: Mapping[str, Tensor]) -> State:
    """Rename to open_clip's names; text tower and logit scale pass unchanged.

    Args:
        state: EVA-CLIP's names, without rotary tables.
    """
    pairs = _pairs(packed=any(key.endswith('.attn.qkv.weight') for key in state))
    return {_renamed(key, pairs, 'visual.', _TRUNK): value for key, value in state.items()}


def to_original(state: Mapping[str, Tensor], head_dim: int) -> State:
    """Rename to EVA-CLIP's names and add the rotary tables that its code expects in the file.

    Args:
        state: open_clip's names of an EVA-02 CLIP.
        head_dim: Channels of one attention head.

    Raises:
        ValueError: The image tower is no EVA-02 with rotary positions.
    """
    if SPLIT not in state:
        raise ValueError('expected an EVA-02 with separate queries and keys')
    pairs = [(new, old) for old, new in _pairs(packed=False)]
    renamed = {_renamed(key, pairs, _TRUNK, 'visual.'): value for key, value in state.items()}
    side = round((state[f'{_TRUNK}pos_embed'].shape[1] - 1) ** 0.5)
    sine, cosine = rope_table((side, side), head_dim)
    blocks = {key.split('.')[2] for key in renamed if key.startswith('visual.blocks.')}
    for place in ('visual.', *(f'visual.blocks.{index}.attn.' for index in blocks)):
        renamed[f'{place}rope.freqs_cos'] = cosine.clone()
        renamed[f'{place}rope.freqs_sin'] = sine.clone()
    return renamed


def _pairs(packed: bool) -> tuple[tuple[str, str], ...]:
    return _PAIRS if packed else _PAIRS + _BIAS_PAIRS


def _renamed(key: str, pairs: Sequence[tuple[str, str]], prefix: str, new_prefix: str) -> str:
    if not key.startswith(prefix):
        return key
    for part, new_part in pairs:
        if part.endswith('.'):
            key = key.replace(part, new_part)
        elif key.endswith(part):
            key = key.removesuffix(part) + new_part
    return new_prefix + key.removeprefix(prefix)
