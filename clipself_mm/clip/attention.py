"""Attention of CLIP's ViTs, full and reduced to the value path, as pure functions.

The modules are open_clip's ``nn.MultiheadAttention`` and timm's attentions. Only their weights are
used, so that training, teacher and masked attention all run the same fused kernel.
"""

from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .positions import apply_rope

TimmAttention: TypeAlias = Any
"""timm's ``Attention``, ``EvaAttention`` or ``AttentionRope``, which have no static types."""


def packed_attention(
    attention: nn.MultiheadAttention, queries: Tensor, context: Tensor, mask: Tensor | None = None
) -> Tensor:
    """Multi-head attention of an OpenAI/OpenCLIP block.

    Args:
        attention: Module with packed ``in_proj_weight`` (3 C, C).
        queries: Normed tokens that attend, shape (N, Q, C).
        context: Normed tokens attended to, shape (N, L, C); the same object for self-attention.
        mask: True where a query may attend, shape (N, Q, L).

    Returns:
        Projected output, shape (N, Q, C).
    """
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    width = attention.embed_dim
    if queries is context:
        query, key, value = F.linear(context, weight, bias).chunk(3, dim=-1)
    else:
        query = F.linear(queries, weight[:width], bias[:width])
        key, value = F.linear(context, weight[width:], bias[width:]).chunk(2, dim=-1)
    mixed = attend(query, key, value, attention.num_heads, mask=mask)
    return attention.out_proj(mixed)


def packed_value_path(attention: nn.MultiheadAttention, tokens: Tensor) -> Tensor:
    """Value projection then output projection (paper, section 3.1; MaskCLIP).

    Args:
        attention: Module with packed ``in_proj_weight``.
        tokens: Normed tokens, shape (N, L, C).

    Returns:
        Shape (N, L, C).
    """
    start = 2 * attention.embed_dim
    value = F.linear(tokens, attention.in_proj_weight[start:], attention.in_proj_bias[start:])
    return attention.out_proj(value)


def check_timm_attention(attention: TimmAttention) -> None:
    """Raise if an attention of timm has a feature that ``timm_attention`` does not implement."""
    unsupported = {
        'norms of queries and keys': not isinstance(attention.q_norm, nn.Identity),
        'a gate': attention.gate is not None,
        'RoPE by halves': getattr(attention, 'rotate_half', False),
        'grouped queries': getattr(attention, 'num_kv_groups', 1) != 1,
    }
    found = [part for part, present in unsupported.items() if present]
    if found:
        raise NotImplementedError(
            f'{type(attention).__name__} with {", ".join(found)} is not supported'
        )


def timm_attention(
    attention: TimmAttention,
    queries: Tensor,
    context: Tensor,
    rope: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Multi-head attention of a timm block, with its inner norm if it has one.

    Args:
        attention: timm's attention.
        queries: Normed tokens that attend, shape (N, Q, C). Unless they are the context itself,
            they are class tokens, which have no RoPE.
        context: Normed tokens attended to, shape (N, L, C).
        rope: From ``rope_pairs``, for all L tokens; None for no RoPE.
        mask: True where a query may attend, shape (N, Q, L).

    Returns:
        Projected output, shape (N, Q, C).
    """
    to_query, to_key, to_value = projections(attention)
    mixed = attend(
        F.linear(queries, *to_query),
        F.linear(context, *to_key),
        F.linear(context, *to_value),
        attention.num_heads,
        rope_query=rope if queries is context else None,
        rope_key=rope,
        mask=mask,
    )
    return attention.proj(attention.norm(mixed))


def timm_value_path(attention: TimmAttention, tokens: Tensor) -> Tensor:
    """Value projection, inner norm, output projection of a timm block (paper, section 3.1).

    Args:
        attention: timm's attention.
        tokens: Normed tokens, shape (N, L, C).

    Returns:
        Shape (N, L, C).
    """
    value = F.linear(tokens, *projections(attention)[2])
    return attention.proj(attention.norm(value))


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    heads: int,
    rope_query: Tensor | None = None,
    rope_key: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Multi-head scaled dot product attention with the fused kernel.

    Args:
        query: Shape (N, Q, C).
        key: Shape (N, L, C).
        value: Shape (N, L, C).
        heads: Number of heads.
        rope_query: From ``rope_pairs``, for the queries; None for no RoPE.
        rope_key: From ``rope_pairs``, for the keys; None for no RoPE.
        mask: True where a query may attend, shape (N, Q, L).

    Returns:
        Shape (N, Q, C).
    """
    query, key, value = (item.unflatten(-1, (heads, -1)) for item in (query, key, value))
    # RoPE before the transpose: the kernel's output then keeps this memory layout, in which
    # flatten(2) needs no copy.
    query = query if rope_query is None else apply_rope(query, rope_query)
    key = key if rope_key is None else apply_rope(key, rope_key)
    query, key, value = (item.transpose(1, 2) for item in (query, key, value))
    mask = None if mask is None else mask[:, None]
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return mixed.transpose(1, 2).flatten(2)


def projections(attention: TimmAttention) -> list[tuple[Tensor, Tensor | None]]:
    """(weight, bias) of queries, keys and values, fused by timm or not."""
    if attention.qkv is None:
        layers = (attention.q_proj, attention.k_proj, attention.v_proj)
        return [(layer.weight, layer.bias) for layer in layers]
    bias = attention.qkv.bias
    if getattr(attention, 'q_bias', None) is not None:
        no_bias = torch.zeros_like(attention.q_bias)
        bias = torch.cat([attention.q_bias, no_bias, attention.v_bias])
    biases = (None, None, None) if bias is None else bias.chunk(3)
    return list(zip(attention.qkv.weight.chunk(3), biases, strict=True))
