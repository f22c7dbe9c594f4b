"""Attention of CLIP's two ViT families, whole and reduced to its value path, as pure functions.

The modules are open_clip's (``nn.MultiheadAttention``) and timm's (``EvaAttention``); only their
weights are used here, so that one fused kernel serves training, teacher and masked variants.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .positions import rotate

Rotary = tuple[Tensor, Tensor]


def packed_attention(
    attention: nn.MultiheadAttention, queries: Tensor, context: Tensor, mask: Tensor | None = None
) -> Tensor:
    """Multi-head attention of an OpenAI/OpenCLIP block.

    Args:
        attention: Module with packed ``in_proj_weight`` (3 C, C).
        queries: Normed tokens that look, shape (N, Q, C).
        context: Normed tokens looked at, shape (N, L, C); the same object for self-attention.
        mask: True where a query may look, shape (N, Q, L).

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
    mixed = _attend(query, key, value, attention.num_heads, mask=mask)
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


def rotary_attention(
    attention: nn.Module,
    queries: Tensor,
    context: Tensor,
    rotary: Rotary,
    mask: Tensor | None = None,
) -> Tensor:
    """Multi-head attention of an EVA-02 block with its inner norm.

    Args:
        attention: timm's ``EvaAttention`` with separate projections.
        queries: Normed tokens that look, shape (N, Q, C). Where they are not the context itself
            they stand for class tokens, which no rotation touches.
        context: Normed tokens looked at, class token first, shape (N, 1 + h * w, C).
        rotary: (sine, cosine) tables for the patches.
        mask: True where a query may look, shape (N, Q, 1 + h * w).

    Returns:
        Projected output, shape (N, Q, C).
    """
    mixed = _attend(
        attention.q_proj(queries),
        attention.k_proj(context),
        attention.v_proj(context),
        attention.num_heads,
        rotary_query=rotary if queries is context else None,
        rotary_key=rotary,
        mask=mask,
    )
    return attention.proj(attention.norm(mixed))


def rotary_value_path(attention: nn.Module, tokens: Tensor) -> Tensor:
    """Value projection, inner norm, output projection of an EVA-02 block (paper, section 3.1).

    Args:
        attention: timm's ``EvaAttention`` with separate projections.
        tokens: Normed tokens, shape (N, L, C).

    Returns:
        Shape (N, L, C).
    """
    return attention.proj(attention.norm(attention.v_proj(tokens)))


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    heads: int,
    rotary_query: Rotary | None = None,
    rotary_key: Rotary | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    query, key, value = (
        item.unflatten(-1, (heads, -1)).transpose(1, 2) for item in (query, key, value)
    )
    query, key = _rotate_patches(query, rotary_query), _rotate_patches(key, rotary_key)
    mask = None if mask is None else mask[:, None]
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return mixed.transpose(1, 2).flatten(2)


def _rotate_patches(features: Tensor, rotary: Rotary | None) -> Tensor:
    if rotary is None:
        return features
    return torch.cat([features[:, :, :1], rotate(features[:, :, 1:], *rotary)], dim=2)
