"""Rename keys of a CLIP from Hugging Face's to open_clip's and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

State = dict[str, Tensor]

MARKER_KEY = 'vision_model.embeddings.patch_embedding.weight'
DROPPED = re.compile(r'(vision|text)_model\.embeddings\.position_ids')
"""Buffers that older versions of transformers save; dropped."""
ADAPTER = (
    'an adapter, whose weights change those of another model; expected the merged model '
    '(peft: model.merge_and_unload().save_pretrained(FOLDER))'
)
_OTHERS = (
    (re.compile(r'.*\blora_[A-Za-z_]+\b.*|base_model\.model\..+'), ADAPTER),
    (
        re.compile(r'vision_model\.head\..+'),
        "transformers' SigLIP; expected a CLIPModel, or open_clip's form of SigLIP",
    ),
    (
        re.compile(r'(vision_model\.)?embeddings\.patch_embedding\..+'),
        'an image tower of transformers alone; expected a CLIPModel, or its '
        'CLIPVisionModelWithProjection with keys vision_model.* and visual_projection.*',
    ),
    (
        re.compile(r'(text_model\.)?embeddings\.token_embedding\..+'),
        'a text tower of transformers alone; expected a CLIPModel',
    ),
)
"""What other files of transformers are, by a key that only they have, and what is wanted."""

_SINGLE = {
    'vision_model.embeddings.class_embedding': 'visual.class_embedding',
    'vision_model.embeddings.patch_embedding.weight': 'visual.conv1.weight',
    'vision_model.embeddings.position_embedding.weight': 'visual.positional_embedding',
    'vision_model.pre_layrnorm.weight': 'visual.ln_pre.weight',
    'vision_model.pre_layrnorm.bias': 'visual.ln_pre.bias',
    'vision_model.post_layernorm.weight': 'visual.ln_post.weight',
    'vision_model.post_layernorm.bias': 'visual.ln_post.bias',
    'text_model.embeddings.token_embedding.weight': 'token_embedding.weight',
    'text_model.embeddings.position_embedding.weight': 'positional_embedding',
    'text_model.final_layer_norm.weight': 'ln_final.weight',
    'text_model.final_layer_norm.bias': 'ln_final.bias',
    'logit_scale': 'logit_scale',
}
_TRANSPOSED = {
    'visual_projection.weight': 'visual.proj',
    'text_projection.weight': 'text_projection',
}
_BLOCKS = {
    'vision_model.encoder.layers.': 'visual.transformer.resblocks.',
    'text_model.encoder.layers.': 'transformer.resblocks.',
}
_IN_BLOCK = {
    'layer_norm1': 'ln_1',
    'layer_norm2': 'ln_2',
    'mlp.fc1': 'mlp.c_fc',
    'mlp.fc2': 'mlp.c_proj',
    'self_attn.out_proj': 'attn.out_proj',
}
_PACKED = re.compile(r'(.+)\.self_attn\.([qkv])_proj\.(weight|bias)')


def from_hugging_face(state: Mapping[str, Tensor]) -> State:
    """Rename keys of `CLIPModel` to open_clip's; queries, keys and values are packed."""
    if 'visual_projection.weight' not in state:
        raise ValueError(f'is {name_other(state)}')
    result: State = {}
    packed: dict[str, dict[str, Tensor]] = {}
    unexpected = []
    for key, value in state.items():
        if DROPPED.fullmatch(key):
            continue
        if key in _SINGLE:
            result[_SINGLE[key]] = value
        elif key in _TRANSPOSED:
            result[_TRANSPOSED[key]] = value.T.contiguous()
        elif match := _PACKED.fullmatch(key):
            name = f'{_renamed_block(match[1])}.attn.in_proj_{match[3]}'
            packed.setdefault(name, {})[match[2]] = value
        elif renamed := _renamed_in_block(key):
            result[renamed] = value
        else:
            unexpected.append(key)
    incomplete = [name for name, parts in packed.items() if set(parts) != set('qkv')]
    if unexpected or incomplete:
        raise ValueError(
            f'not a CLIPModel of transformers: unexpected {unexpected}, incomplete {incomplete}'
        )
    for name, parts in packed.items():
        result[name] = torch.cat([parts[part] for part in 'qkv'])
    return result


def name_other(keys: Iterable[str]) -> str | None:
    """What a file of transformers is that is not a `CLIPModel`, and what is wanted, in words."""
    keys = list(keys)
    return next((words for key, words in _OTHERS if any(map(key.fullmatch, keys))), None)


def to_hugging_face(state: Mapping[str, Tensor]) -> State:
    """Rename open_clip's keys to those of `CLIPModel`."""
    single = {new: old for old, new in _SINGLE.items()}
    transposed = {new: old for old, new in _TRANSPOSED.items()}
    blocks = {new: old for old, new in _BLOCKS.items()}
    in_block = {new: old for old, new in _IN_BLOCK.items()}
    result: State = {}
    unexpected = []
    for full, value in state.items():
        key = full.removeprefix('text.')
        prefix = next((name for name in blocks if key.startswith(name)), '')
        index, _, rest = key.removeprefix(prefix).partition('.')
        name, _, kind = rest.rpartition('.')
        if key in single:
            result[single[key]] = value
        elif key in transposed:
            result[transposed[key]] = value.T.contiguous()
        elif prefix and rest.startswith('attn.in_proj_'):
            kind = rest.removeprefix('attn.in_proj_')
            for part, piece in zip('qkv', value.chunk(3), strict=True):
                result[f'{blocks[prefix]}{index}.self_attn.{part}_proj.{kind}'] = piece.clone()
        elif prefix and name in in_block:
            result[f'{blocks[prefix]}{index}.{in_block[name]}.{kind}'] = value
        else:
            unexpected.append(full)
    if unexpected:
        raise ValueError(f"transformers' CLIPModel has no weights for {unexpected}")
    return result


def _renamed_block(key: str) -> str:
    for old, new in _BLOCKS.items():
        if key.startswith(old):
            return new + key.removeprefix(old)
    return key


def _renamed_in_block(key: str) -> str | None:
    block = _renamed_block(key)
    if block == key:
        return None
    for old, new in _IN_BLOCK.items():
        for kind in ('weight', 'bias'):
            if block.endswith(f'.{old}.{kind}'):
                return f'{block.removesuffix(f"{old}.{kind}")}{new}.{kind}'
    return None
