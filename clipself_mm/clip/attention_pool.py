"""Attention pooling of CLIP towers, full and reduced to one token, as pure functions.

A query that attends to a single token has attention weight 1, so the pooling of one token is its
projected value. This is the dense feature of towers with attention pooling: timm's (SigLIP,
PE-Core) and open_clip's (CLIP ResNets).
"""

import torch
import torch.nn.functional as F
from open_clip.modified_resnet import AttentionPool2d
from timm.layers import AttentionPoolLatent
from torch import Tensor

from .attention import attend
from .positions import resize_positions, token_grid


def check_latent_pool(pool: AttentionPoolLatent) -> None:
    """Check that a latent pooling has one query, an MLP and no positions."""
    if pool.pos_embed is not None or pool.latent_len != 1 or pool.mlp is None:
        raise NotImplementedError(
            'expected an attention pooling with one query, an MLP and no positions; found '
            f'{pool.latent_len} queries, '
            f'{"no " if pool.mlp is None else "an "}MLP and '
            f'{"no " if pool.pos_embed is None else ""}positions'
        )


def latent_value_path(pool: AttentionPoolLatent, tokens: Tensor) -> Tensor:
    """Latent pooling of each token alone: value, projection, MLP.

    Args:
        pool: timm's module; values are the second half of ``kv``.
        tokens: Normed tokens, shape (..., C).

    Returns:
        Shape (..., C).
    """
    half = pool.kv.out_features // 2
    bias = None if pool.kv.bias is None else pool.kv.bias[half:]
    value = pool.proj(F.linear(tokens, pool.kv.weight[half:], bias))
    return value + pool.mlp(pool.norm(value))


def pool_map(pool: AttentionPool2d, features: Tensor) -> Tensor:
    """Pooling of a CLIP ResNet, map of any size: the mean token attends to itself and all cells.

    Args:
        pool: open_clip's module; the position of the mean token comes first in its table.
        features: Map of the last stage, shape (N, C, h, w).

    Returns:
        Shape (N, D).
    """
    grid = token_grid(features)
    cells = features.flatten(2).transpose(1, 2)
    tokens = torch.cat([cells.mean(dim=1, keepdim=True), cells], dim=1)
    tokens = tokens + resize_positions(pool.positional_embedding, grid).to(tokens.dtype)
    query, key, value = pool.q_proj(tokens[:, :1]), pool.k_proj(tokens), pool.v_proj(tokens)
    return pool.c_proj(attend(query, key, value, pool.num_heads))[:, 0]


def pool_map_value_path(pool: AttentionPool2d, features: Tensor) -> Tensor:
    """Pooling of a CLIP ResNet, of each cell alone: value, projection.

    Args:
        pool: open_clip's module.
        features: Map of the last stage, shape (N, C, h, w).

    Returns:
        Cells row by row, shape (N, h * w, D).
    """
    positions = resize_positions(pool.positional_embedding, token_grid(features))[1:]
    cells = features.flatten(2).transpose(1, 2)
    return pool.c_proj(pool.v_proj(cells + positions.to(cells.dtype)))
