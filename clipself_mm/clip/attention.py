"""Attention of CLIP's ViT families, whole and reduced to its value path, as pure functions.

The modules are open_clip's (``nn.MultiheadAttention``) and timm's (``Attention`` and its rotary
kin); only their weights are used here, so that one fused kernel serves training, teacher and
masked variants.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .positions import apply_rope


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


def check_timm_attention(attention: nn.Module) -> None:
    """Refuse an attention of timm that does more than ``timm_attention`` does.

    Raises:
        NotImplementedError: The message names what it does.
    """
    unknown = {
        'norms of queries and keys': not isinstance(attention.q_norm, nn.Identity),
        'a gate': attention.gate is not None,
        'rotation by halves': getattr(attention, 'rotate_half', False),
        'grouped queries': getattr(attention, 'num_kv_groups', 1) != 1,
    }
    found = [part for part, present in unknown.items() if present]
    if found:
        raise NotImplementedError(f'this {type(attention).__name__} has {", ".join(found)}')


def timm_attention(
    attention: nn.Module,
    queries: Tensor,
    context: Tensor,
    rope: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Multi-head attention of a timm block, with its inner norm where it has one.

    Args:
        attention: timm's ``Attention``, ``EvaAttention`` or ``AttentionRope``.
        queries: Normed tokens that look, shape (N, Q, C). Where they are not the context itself
            they stand for class tokens, which no rotation touches.
        context: Normed tokens looked at, shape (N, L, C).
        rope: Of ``rope_pairs``, for all L tokens; None for no rotation.
        mask: True where a query may look, shape (N, Q, L).

    Returns:
        Projected output, shape (N, Q, C).
    """
    of_query, of_key, of_value = projections(attention)
    mixed = attend(
        F.linear(queries, *of_query),
        F.linear(context, *of_key),
        F.linear(context, *of_value),
        attention.num_heads,
        rope_query=rope if queries is context else None,
        rope_key=rope,
        mask=mask,
    )
    return attention.proj(attention.norm(mixed))


def timm_value_path(attention: nn.Module, tokens: Tensor) -> Tensor:
    """Value projection, inner norm, output projection of a timm block (paper, section 3.1).

    Args:
        attention: timm's ``Attention``, ``EvaAttention`` or ``AttentionRope``.
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
    """Multi-head scaled dot product attention by the fused kernel.

    Args:
        query: Shape (N, Q, C).
        key: Shape (N, L, C).
        value: Shape (N, L, C).
        heads: Number of heads.
        rope_query: Of ``rope_pairs``, what rotates the queries; None for no rotation.
        rope_key: What rotates the keys; None for no rotation.
        mask: True where a query may look, shape (N, Q, L).

    Returns:
        Shape (N, Q, C).
    """
    query, key, value = (item.unflatten(-1, (heads, -1)) for item in (query, key, value))
    # Turned before the heads go first: the kernel's result keeps this order of memory, in which
    # the heads lie side by side already.
    query = query if rope_query is None else apply_rope(query, rope_query)
    key = key if rope_key is None else apply_rope(key, rope_key)
    query, key, value = (item.transpose(1, 2) for item in (query, key, value))
    mask = None if mask is None else mask[:, None]
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return mixed.transpose(1, 2).flatten(2)


def projections(attention: nn.Module) -> list[tuple[Tensor, Tensor | None]]:
    """(weight, bias) of queries, keys and values, whether timm fuses them or not."""
    if attention.qkv is None:
        layers = (attention.q_proj, attention.k_proj, attention.v_proj)
        return [(layer.weight, layer.bias) for layer in layers]
    bias = attention.qkv.bias
    if getattr(attention, 'q_bias', None) is not None:
        no_bias = torch.zeros_like(attention.q_bias)
        bias = torch.cat([attention.q_bias, no_bias, attention.v_bias])
    biases = (None, None, None) if bias is None else bias.chunk(3)
    return list(zip(attention.qkv.weight.chunk(3), biases, strict=True))
