"""Fine-tuning of the query and value projections only, as CAT-Seg does in both towers of a CLIP."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .vit_tower import Block, ViTTower

#: Parameters of a block's attention: separate, or queries, keys and values packed.
_SEPARATE = ('q_proj.weight', 'v_proj.weight')
_PACKED = ('in_proj_weight', 'qkv.weight')


def unlock_attention(tower: ViTTower) -> list[str]:
    """Freeze an image tower but for the query and value weights of its blocks.

    As in CAT-Seg's official implementation: no biases, keys or positions. If queries, keys and
    values are one packed tensor (open_clip's ViTs, timm's fused attention), a permanent hook sets
    the gradient of the keys to zero. Parameters of the last block that no dense feature depends on
    stay frozen.

    Args:
        tower: A tower whose `last_block` is already set.

    Returns:
        Names of the trainable parameters, in the tower's order.
    """
    tower.unlock_blocks(None)
    unused = {id(parameter) for parameter in tower.parameters_off_dense_path()}
    return _train_query_value(tower, tower.blocks, unused)


def unlock_text_attention(text: nn.Module) -> list[str]:
    """The same for a text tower, open_clip's `TextTransformer`.

    Raises:
        NotImplementedError: The tower has no such blocks, as those of Hugging Face.
    """
    blocks = getattr(getattr(text, 'transformer', None), 'resblocks', None)
    if blocks is None:
        raise NotImplementedError(
            f'expected the blocks of an open_clip TextTransformer, got a {type(text).__name__}, '
            'which cannot be fine-tuned'
        )
    return _train_query_value(text, blocks)


def _train_query_value(
    tower: nn.Module, blocks: Iterable[Block], unused: Iterable[int] = ()
) -> list[str]:
    trainable = set()
    for block in blocks:
        for name, parameter in block.attn.named_parameters():
            if name in (*_SEPARATE, *_PACKED) and id(parameter) not in unused:
                trainable.add(id(parameter))
                parameter.requires_grad_(True)
                if name in _PACKED:
                    parameter.register_hook(_without_keys)
    for parameter in tower.parameters():
        parameter.requires_grad_(id(parameter) in trainable)
    return [name for name, parameter in tower.named_parameters() if parameter.requires_grad]


def _without_keys(gradient: Tensor) -> Tensor:
    """The gradient of a packed weight, shape (3 C, C), with its middle third set to zero."""
    query, key, value = gradient.chunk(3)
    return torch.cat([query, torch.zeros_like(key), value])
