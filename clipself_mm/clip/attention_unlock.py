"""Fine-tuning of attention alone: which parameters of a ViT train when a segmentor refines it."""

from __future__ import annotations

from torch import nn

from .vit_tower import ViTTower

#: Leading names, inside a block's attention, of what queries and values are made with. A packed
#: or fused tensor holds the keys too and trains as a whole.
_QUERY_VALUE = ('in_proj_weight', 'in_proj_bias', 'qkv', 'q_proj', 'v_proj', 'q_bias', 'v_bias')
_POSITIONS = ('positional_embedding', 'pos_embed')


def unlock_attention(tower: ViTTower, positions: bool = True) -> list[str]:
    """Freeze a tower but for the query and value projections of its blocks and its positions.

    That is how CAT-Seg (Cho et al. 2023, arXiv 2303.11797) fine-tunes CLIP. open_clip's ViTs and
    timm's fused ones keep queries, keys and values in one tensor, which trains whole, keys
    included; EVA-02-B and -L have them apart, there the keys stay. Whatever of the last block no
    dense feature depends on (`ViTTower.last_block`) stays frozen as well.

    Args:
        tower: Its `last_block` is set already.
        positions: Whether the learned positions train; rotary ones are no parameters.

    Returns:
        Names of the parameters that train, in the tower's order.
    """
    tower.unlock_blocks(None)
    unused = {id(parameter) for parameter in tower.parameters_off_dense_path()}
    chosen = {
        id(parameter)
        for block in tower.blocks
        for name, parameter in block.attn.named_parameters()
        if name.split('.')[0] in _QUERY_VALUE and id(parameter) not in unused
    }
    tables = _position_tables(tower) if positions else []
    chosen |= {id(table) for table in tables}
    tower.trains_stem = bool(tables)
    names = []
    for name, parameter in tower.named_parameters():
        parameter.requires_grad_(id(parameter) in chosen)
        if parameter.requires_grad:
            names.append(name)
    return names


def _position_tables(tower: ViTTower) -> list[nn.Parameter]:
    return [
        parameter
        for name, parameter in tower.named_parameters()
        if name.removeprefix('visual.').removeprefix('trunk.') in _POSITIONS
    ]
