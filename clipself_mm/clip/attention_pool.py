"""Attention pooling of CLIP towers, whole and reduced to one token, as pure functions.

A query that sees a single token gives it all its attention: what is left of the pooling is the
token's value, projected. This is the dense feature of towers that pool so. The modules are timm's
(SigLIP, PE-Core) and open_clip's (CLIP ResNets); only their weights are used here.
"""

import torch
import torch.nn.functional as F
from open_clip.modified_resnet import AttentionPool2d
from timm.layers import AttentionPoolLatent
from torch import Tensor

from .attention import attend
from .positions import resize_positions


def check_latent_pool(pool: AttentionPoolLatent) -> None:
    """Refuse a latent pooling that is not one query over tokens without positions of its own.

    Raises:
        NotImplementedError: The message says what is there instead.
    """
    if pool.pos_embed is not None or pool.latent_len != 1 or pool.mlp is None:
        raise NotImplementedError(
            'expected an attention pooling with one query, an MLP and no positions of its own; '
            f'this one has {pool.latent_len} queries, '
            f'{"no " if pool.mlp is None else "an "}MLP and '
            f'{"no " if pool.pos_embed is None else ""}positions'
        )


def latent_value_path(pool: AttentionPoolLatent, tokens: Tensor) -> Tensor:
    """What a latent pooling gives for each token alone: value, projection, MLP.

    Args:
        pool: timm's module; values are the second half of its ``kv``.
        tokens: Normed tokens, shape (..., C).

    Returns:
        Shape (..., C).
    """
    half = pool.kv.out_features // 2
    bias = None if pool.kv.bias is None else pool.kv.bias[half:]
    value = pool.proj(F.linear(tokens, pool.kv.weight[half:], bias))
    return value + pool.mlp(pool.norm(value))


def pool_map(pool: AttentionPool2d, features: Tensor) -> Tensor:
    """Pooling of a CLIP ResNet for a map of any size: the mean token looks at itself and all cells.

    Args:
        pool: open_clip's module; the mean token's position comes first in its table.
        features: Map of the last stage, shape (N, C, h, w).

    Returns:
        Shape (N, D).
    """
    grid = tuple(map(int, features.shape[-2:]))
    cells = features.flatten(2).transpose(1, 2)
    tokens = torch.cat([cells.mean(dim=1, keepdim=True), cells], dim=1)
    tokens = tokens + resize_positions(pool.positional_embedding, grid).to(tokens.dtype)
    query, key, value = pool.q_proj(tokens[:, :1]), pool.k_proj(tokens), pool.v_proj(tokens)
    return pool.c_proj(attend(query, key, value, pool.num_heads))[:, 0]


def pool_map_value_path(pool: AttentionPool2d, features: Tensor) -> Tensor:
    """What the pooling of a CLIP ResNet gives for each cell alone: value, projection.

    Args:
        pool: open_clip's module.
        features: Map of the last stage, shape (N, C, h, w).

    Returns:
        Cells row by row, shape (N, h * w, D).
    """
    grid = tuple(map(int, features.shape[-2:]))
    positions = resize_positions(pool.positional_embedding, grid)[1:]
    cells = features.flatten(2).transpose(1, 2)
    return pool.c_proj(pool.v_proj(cells + positions.to(cells.dtype)))
