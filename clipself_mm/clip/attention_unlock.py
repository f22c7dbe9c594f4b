"""Fine-tuning of query and value projections alone, as CAT-Seg fine-tunes both towers of a CLIP."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .vit_tower import ViTTower

#: Names of a block's attention: queries and values apart, or one tensor of queries, keys, values.
_SEPARATE = ('q_proj.weight', 'v_proj.weight')
_PACKED = ('in_proj_weight', 'qkv.weight')


def unlock_attention(tower: ViTTower) -> list[str]:
    """Freeze an image tower but for the query and value weights of its blocks.

    As in CAT-Seg's public code: no biases, no keys, no positions. Where queries, keys and values
    are one tensor (open_clip's ViTs, timm's fused ones), the gradient of its keys is set to zero,
    for the life of the tower. What of the last block no dense feature depends on
    (`ViTTower.last_block`) stays frozen.

    Args:
        tower: Its `last_block` is set already.

    Returns:
        Names of the parameters that train, in the tower's order.
    """
    tower.unlock_blocks(None)
    unused = {id(parameter) for parameter in tower.parameters_off_dense_path()}
    return _train_query_value(tower, tower.blocks, unused)


def unlock_text_attention(text: nn.Module) -> list[str]:
    """The same for a text tower, open_clip's `TextTransformer`.

    Raises:
        NotImplementedError: The tower is another, as one of Hugging Face's.
    """
    blocks = getattr(getattr(text, 'transformer', None), 'resblocks', None)
    if blocks is None:
        raise NotImplementedError(
            f'expected the blocks of an open_clip TextTransformer, got a {type(text).__name__}, '
            'which cannot be fine-tuned here'
        )
    return _train_query_value(text, blocks)


def _train_query_value(
    tower: nn.Module, blocks: Iterable[nn.Module], unused: Iterable[int] = ()
) -> list[str]:
    chosen = set()
    for block in blocks:
        for name, parameter in block.attn.named_parameters():
            if name in (*_SEPARATE, *_PACKED) and id(parameter) not in unused:
                chosen.add(id(parameter))
                parameter.requires_grad_(True)
                if name in _PACKED:
                    parameter.register_hook(_without_keys)
    for parameter in tower.parameters():
        parameter.requires_grad_(id(parameter) in chosen)
    return [name for name, parameter in tower.named_parameters() if parameter.requires_grad]


def _without_keys(gradient: Tensor) -> Tensor:
    """The gradient of a packed weight, shape (3 C, C), with its middle third at zero."""
    query, key, value = gradient.chunk(3)
    return torch.cat([query, torch.zeros_like(key), value])
