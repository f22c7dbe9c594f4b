"""Adapter of timm's ``Eva`` inside open_clip's ``TimmModel``: EVA, EVA-02 and PE-Core."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from open_clip.timm_model import TimmModel
from timm.layers import AttentionPoolLatent
from timm.models.eva import Eva, EvaBlockPostNorm
from torch import Tensor, nn

from .attention import check_timm_attention, timm_attention, timm_value_path
from .attention_pool import check_latent_pool, latent_value_path
from .positions import resize_positions, rope_pairs, rope_table, token_grid
from .self_correlation import parameters_of, timm_self_correlation
from .vit_tower import Block, Embedded, ViTTower
from .weights.tower_source import CLIP_MEAN, CLIP_STD

ROPE_CACHE_SIZE = 8
"""Token grids whose RoPE tables are cached; inputs of a detector have many sizes."""


class EVA02ViT(ViTTower):
    """A ViT of EVA-CLIP, EVA-02 CLIP or PE-Core: learned positions, mostly with RoPE.

    EVA-02-B and -L have RoPE, inner norms and separate projections. EVA-g and EVA-02-E have no
    RoPE and one fused projection; the norms of -E come after each branch. PE-Core has RoPE and
    attention pooling.

    RoPE tables are built for the grid of each input, square or not (timm inside open_clip keeps
    those of the native grid).

    Args:
        visual: A module whose ``trunk`` is timm's ``Eva`` with the projection as its head.
        mean: RGB mean of its inputs, in 0-1 units.
        std: RGB standard deviation of its inputs, in 0-1 units.
    """

    def __init__(
        self,
        visual: TimmModel,
        mean: Sequence[float] = CLIP_MEAN,
        std: Sequence[float] = CLIP_STD,
    ) -> None:
        trunk = visual.trunk
        _check_trunk(trunk)
        if len(getattr(visual, 'head', ())):
            raise NotImplementedError('expected the projection in the trunk, found a second head')
        patch_size = trunk.patch_embed.patch_size[0]
        super().__init__(
            visual,
            width=trunk.embed_dim,
            dim=trunk.head.out_features,
            patch_size=patch_size,
            image_size=trunk.patch_embed.grid_size[0] * patch_size,
            mean=mean,
            std=std,
            prefix=trunk.num_prefix_tokens,
            pools_class_token=trunk.global_pool == 'token',
        )
        self._tables: OrderedDict[tuple[tuple[int, int], torch.device], Tensor] = OrderedDict()

    @property
    def blocks(self) -> nn.ModuleList:
        """The transformer blocks in order."""
        return self.visual.trunk.blocks

    def embed(self, images: Tensor) -> Embedded:
        """Convolve, prepend the class token, add learned positions (see ``ViTTower``)."""
        trunk = self.visual.trunk
        patches = trunk.patch_embed.proj(images)
        grid = token_grid(patches)
        tokens = patches.flatten(2).transpose(1, 2)
        if self.prefix:
            tokens = torch.cat([trunk.cls_token.expand(images.shape[0], -1, -1), tokens], dim=1)
        tokens = tokens + resize_positions(trunk.pos_embed[0], grid, prefix=self.prefix)
        rope = None if trunk.rope is None else self.rope(grid, images.device)
        return Embedded(trunk.norm_pre(tokens), grid, rope)

    def rope_tables(self, grid: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
        """(sine, cosine) tables of a token grid (see ``rope_table``)."""
        rope = self.visual.trunk.rope
        return rope_table(
            grid,
            self.visual.trunk.blocks[0].attn.head_dim,
            pretrained_side=rope.ref_feat_shape[0],
            theta=rope.temperature,
            offset=rope.grid_offset,
            columns_first=rope.grid_indexing == 'xy',
            device=device,
        )

    def rope(self, grid: tuple[int, int], device: torch.device) -> Tensor:
        """Tables for ``apply_rope``, all tokens; cached for the last ``ROPE_CACHE_SIZE`` grids."""
        key = (grid, device)
        if key in self._tables:
            self._tables.move_to_end(key)
            return self._tables[key]
        # Inference tensors could not be used in a later training step.
        with torch.inference_mode(False):
            self._tables[key] = rope_pairs(*self.rope_tables(grid, device), self.prefix)
        if len(self._tables) > ROPE_CACHE_SIZE:
            self._tables.popitem(last=False)
        return self._tables[key]

    def run_block(
        self,
        block: Block,
        tokens: Tensor,
        positions: Tensor | None,
        queries: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Attention and MLP, each with its norm and residual (see ``ViTTower``)."""
        context = _before_attention(block, tokens)
        normed = context if queries is None else _before_attention(block, queries)
        mixed = timm_attention(block.attn, normed, context, positions, mask)
        stream = tokens if queries is None else queries
        return _add_mlp(block, stream + _branch(block, mixed))

    def run_value_branch(self, block: Block, tokens: Tensor) -> Tensor:
        """The attention branch reduced to its values (see ``ViTTower``)."""
        return _branch(block, timm_value_path(block.attn, _before_attention(block, tokens)))

    def run_value_path(self, block: Block, tokens: Tensor) -> Tensor:
        """The block with attention reduced to its value path (see ``ViTTower``)."""
        return _add_mlp(block, tokens + self.run_value_branch(block, tokens))

    def run_self_correlation(
        self, block: Block, tokens: Tensor, positions: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The attention branch alone, with self-correlation (see ``ViTTower``)."""
        mixed, context = timm_self_correlation(
            block.attn, _before_attention(block, tokens), self.last_block, positions
        )
        return _branch(block, mixed), context

    def project(self, tokens: Tensor) -> Tensor:
        """Final norm, attention pooling of one token if there is one, and projection."""
        trunk = self.visual.trunk
        tokens = trunk.norm(tokens)
        if trunk.attn_pool is not None:
            tokens = latent_value_path(trunk.attn_pool, tokens)
        return trunk.head(tokens)

    def pool(self, tokens: Tensor) -> Tensor:
        """The class token, or the attention pooling of all tokens, projected."""
        trunk = self.visual.trunk
        if self.pools_class_token:
            return self.project(tokens[:, 0])
        return trunk.head(trunk.attn_pool(trunk.norm(tokens)))

    def parameters_off_value_path(self, block: Block) -> list[nn.Parameter]:
        """The query and key projections; of packed ones the query bias."""
        if block.attn.q_proj is None:
            return [] if block.attn.q_bias is None else [block.attn.q_bias]
        return parameters_of(block.attn.q_proj, block.attn.k_proj)

    def parameters_off_self_correlation(self, block: Block) -> list[nn.Parameter]:
        """The MLP with its norm, and for ``qq`` the key projection."""
        unused = parameters_of(block.norm2, block.mlp)
        if self.last_block == 'qq' and block.attn.k_proj is not None:
            unused += parameters_of(block.attn.k_proj)
        return unused


def _before_attention(block: Block, tokens: Tensor) -> Tensor:
    return tokens if isinstance(block, EvaBlockPostNorm) else block.norm1(tokens)


def _branch(block: Block, mixed: Tensor) -> Tensor:
    return block.norm1(mixed) if isinstance(block, EvaBlockPostNorm) else mixed


def _add_mlp(block: Block, stream: Tensor) -> Tensor:
    if isinstance(block, EvaBlockPostNorm):
        return stream + block.norm2(block.mlp(stream))
    return stream + block.mlp(block.norm2(stream))


def _check_trunk(trunk: Eva) -> None:
    if not isinstance(trunk, Eva):
        raise NotImplementedError(f'expected an EVA-02 trunk, got a {type(trunk).__name__}')
    rope = trunk.rope
    unsupported = {
        f'pooling {trunk.global_pool!r}': trunk.global_pool not in ('token', 'map'),
        "an attention pooling that is not timm's latent one": trunk.attn_pool is not None
        and not isinstance(trunk.attn_pool, AttentionPoolLatent),
        'register tokens': trunk.reg_token is not None,
        'no learned positions, or none for the class token': trunk.pos_embed is None
        or trunk.no_embed_class,
        'layer scale': any(getattr(b, 'gamma_1', None) is not None for b in trunk.blocks),
        f'a RoPE of type {type(rope).__name__}': rope is not None
        and getattr(rope, 'ref_feat_shape', None) is None,
        'a norm after the pooling': not isinstance(trunk.fc_norm, nn.Identity),
        'no projection': not isinstance(trunk.head, nn.Linear),
    }
    found = [part for part, present in unsupported.items() if present]
    if found:
        raise NotImplementedError(f'an Eva trunk with {", ".join(found)} is not supported')
    for block in trunk.blocks:
        check_timm_attention(block.attn)
    if trunk.attn_pool is not None:
        check_latent_pool(trunk.attn_pool)
