"""Rename keys of an image tower from EVA-CLIP's to open_clip's and back.

The released CLIPSelf and region-text checkpoints have EVA-CLIP's keys, open_clip has timm's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

from ..positions import rope_table

State = dict[str, Tensor]

MARKER_KEY = 'visual.patch_embed.proj.weight'
ROPE_BUFFER = re.compile(r'(.+\.)?rope\.(flag|freqs_(cos|sin)(_\d+)?)')
"""RoPE tables, which follow from the input's grid; written for the official implementation only.

The official implementation caches one more pair per number of tokens (`freqs_cos_1600`) and counts
them (`flag`), so a file saved after a run has any number of them.
"""

_TRUNK = 'visual.trunk.'
SEPARATE_KEY = f'{_TRUNK}blocks.0.attn.q_proj.weight'
"""open_clip's key that exists only if queries, keys and values have separate projections."""
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
"""Only for separate projections; for a packed one timm has the same names as EVA-CLIP."""


def from_original(state: Mapping[str, Tensor]) -> State:
    """Rename EVA-CLIP's keys to open_clip's; text tower and logit scale are unchanged.

    Args:
        state: EVA-CLIP's keys, without RoPE tables.
    """
    pairs = _pairs(packed=any(key.endswith('.attn.qkv.weight') for key in state))
    return {_renamed(key, pairs, 'visual.', _TRUNK): value for key, value in state.items()}


def to_original(state: Mapping[str, Tensor], head_dim: int) -> State:
    """Rename open_clip's keys to EVA-CLIP's and add the RoPE tables that EVA-CLIP expects.

    Args:
        state: open_clip's keys of an EVA-02 CLIP.
        head_dim: Channels of one attention head.
    """
    if SEPARATE_KEY not in state:
        raise ValueError('expected an EVA-02 with separate queries and keys')
    pairs = [(new, old) for old, new in _pairs(packed=False)]
    renamed = {_renamed(key, pairs, _TRUNK, 'visual.'): value for key, value in state.items()}
    side = round((state[f'{_TRUNK}pos_embed'].shape[1] - 1) ** 0.5)
    sine, cosine = rope_table((side, side), head_dim)
    blocks = {key.split('.')[2] for key in renamed if key.startswith('visual.blocks.')}
    for parent in ('visual.', *(f'visual.blocks.{index}.attn.' for index in blocks)):
        renamed[f'{parent}rope.freqs_cos'] = cosine.clone()
        renamed[f'{parent}rope.freqs_sin'] = sine.clone()
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
