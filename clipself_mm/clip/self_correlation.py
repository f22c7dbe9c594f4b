"""Self-correlation attention of the last block (DeCLIP, arXiv 2505.04410), as pure functions.

Queries are compared with queries (``qq``), and for ``csa`` also keys with keys. All tokens take
part, the class token too. RoPE is applied where the block applies it.
"""

from typing import TypeAlias

import torch.nn.functional as F
from torch import Tensor, nn

from .attention import TimmAttention, attend, projections
from .positions import apply_rope

LastBlock: TypeAlias = str
"""Value path with residual and MLP (CLIPSelf: ``value``); attention branch alone (DeCLIP: ``qq``,
``csa``); value branches of the last K blocks, summed (DenseRC without its gate: ``values-K``)."""
SELF_CORRELATIONS = ('qq', 'csa')


def summed_blocks(mode: LastBlock) -> int:
    """K of ``values-K``; 0 for other modes."""
    return int(mode.partition('values-')[2] or 0)


def self_correlation(
    query: Tensor,
    key: Tensor | None,
    value: Tensor,
    heads: int,
    rope: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Mix values by softmax(q q^T / sqrt(d)), plus softmax(k k^T / sqrt(d)) if keys are given.

    Args:
        query: Shape (N, L, C).
        key: Shape (N, L, C); None for ``qq``, whose attention weights sum to 1. Those of ``csa``
            sum to 2.
        value: Shape (N, L, C).
        heads: Number of heads, each of d = C / heads channels.
        rope: From ``rope_pairs``, for all tokens; None for no RoPE.

    Returns:
        The mixed values and the queries after RoPE, heads concatenated; each of shape (N, L, C).
    """
    if rope is not None:
        query = apply_rope(query.unflatten(-1, (heads, -1)), rope).flatten(2)
        key = None if key is None else apply_rope(key.unflatten(-1, (heads, -1)), rope).flatten(2)
    mixed = attend(query, query, value, heads)
    if key is not None:
        mixed = mixed + attend(key, key, value, heads)
    return mixed, query


def packed_self_correlation(
    attention: nn.MultiheadAttention, tokens: Tensor, mode: LastBlock
) -> tuple[Tensor, Tensor]:
    """Self-correlation of an OpenAI/OpenCLIP block.

    Args:
        attention: Module with packed ``in_proj_weight`` (3 C, C).
        tokens: Normed tokens, shape (N, L, C).
        mode: ``qq`` or ``csa``.

    Returns:
        Projected output and queries, each of shape (N, L, C).
    """
    query, key, value = F.linear(tokens, attention.in_proj_weight, attention.in_proj_bias).chunk(
        3, dim=-1
    )
    mixed, context = self_correlation(
        query, key if mode == 'csa' else None, value, attention.num_heads
    )
    return attention.out_proj(mixed), context


def timm_self_correlation(
    attention: TimmAttention,
    tokens: Tensor,
    mode: LastBlock,
    rope: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Self-correlation of a timm block, with its inner norm if it has one.

    Args:
        attention: timm's attention.
        tokens: Normed tokens, shape (N, L, C).
        mode: ``qq`` or ``csa``.
        rope: From ``rope_pairs``, for all tokens; None for no RoPE.

    Returns:
        Projected output and queries, each of shape (N, L, C).
    """
    to_query, to_key, to_value = projections(attention)
    mixed, context = self_correlation(
        F.linear(tokens, *to_query),
        F.linear(tokens, *to_key) if mode == 'csa' else None,
        F.linear(tokens, *to_value),
        attention.num_heads,
        rope,
    )
    return attention.proj(attention.norm(mixed)), context


def parameters_of(*modules: nn.Module) -> list[nn.Parameter]:
    """All parameters of some modules."""
    return [parameter for module in modules for parameter in module.parameters()]
