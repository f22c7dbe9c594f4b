"""Adapter of timm's ``Eva`` inside open_clip's ``TimmModel``: EVA, EVA-02 and PE-Core."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from timm.layers import AttentionPoolLatent
from timm.models.eva import Eva, EvaBlockPostNorm
from torch import Tensor, nn

from .attention import check_timm_attention, timm_attention, timm_value_path
from .attention_pool import check_latent_pool, latent_value_path
from .positions import resize_positions, rope_pairs, rope_table
from .self_correlation import parameters_of, timm_self_correlation
from .vit_tower import Embedded, ViTTower
from .weights.tower_source import CLIP_MEAN, CLIP_STD

GRIDS_KEPT = 8
"""Token grids whose rotary tables are kept: a few views of a detector, not every image's size."""


class EVA02ViT(ViTTower):
    """An EVA-02 CLIP ViT or a relative: learned and mostly rotary positions, head with bias.

    EVA-02-B and -L have rotary positions, inner norms and separate projections; EVA-g and EVA-02-E
    have learned positions only and one fused projection, -E norms after each branch. PE-Core
    has rotary positions and pools all its tokens by attention.

    The rotary tables are rebuilt for the grid of each input (timm inside open_clip keeps the native
    grid's), for any grid, square or not.

    Args:
        visual: A module whose ``trunk`` is timm's ``Eva`` with the projection as its head.
        mean: RGB mean of its inputs, in 0-1 units.
        std: RGB standard deviation of its inputs, in 0-1 units.

    Raises:
        NotImplementedError: The trunk has a part that is not known here; the message names it.
    """

    def __init__(
        self,
        visual: nn.Module,
        mean: Sequence[float] = CLIP_MEAN,
        std: Sequence[float] = CLIP_STD,
    ) -> None:
        trunk = visual.trunk
        _check_trunk(trunk)
        if len(getattr(visual, 'head', ())):
            raise NotImplementedError('expected the projection in the trunk, found another head')
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
        self._tables: OrderedDict[tuple, Tensor] = OrderedDict()

    @property
    def blocks(self) -> nn.ModuleList:
        """The transformer blocks in order."""
        return self.visual.trunk.blocks

    def embed(self, images: Tensor) -> Embedded:
        """Convolve, prepend the class token, add learned positions (see ``ViTTower``)."""
        trunk = self.visual.trunk
        patches = trunk.patch_embed.proj(images)
        grid = tuple(map(int, patches.shape[-2:]))
        tokens = patches.flatten(2).transpose(1, 2)
        if self.prefix:
            tokens = torch.cat([trunk.cls_token.expand(images.shape[0], -1, -1), tokens], dim=1)
        tokens = tokens + resize_positions(trunk.pos_embed[0], grid, prefix=self.prefix)
        rope = None if trunk.rope is None else self.rope(grid, images.device)
        return Embedded(trunk.norm_pre(tokens), grid, rope)

    def rotary(self, grid: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
        """The (sine, cosine) tables of a token grid (see ``rope_table``)."""
        rope = self.visual.trunk.rope
        return rope_table(
            grid,
            self.blocks[0].attn.head_dim,
            pretrained_side=rope.ref_feat_shape[0],
            theta=rope.temperature,
            offset=rope.grid_offset,
            columns_first=rope.grid_indexing == 'xy',
            device=device,
        )

    def rope(self, grid: tuple[int, int], device: torch.device) -> Tensor:
        """The tables as ``apply_rope`` takes them for all tokens, kept for the grids seen last."""
        key = (grid, device)
        if key in self._tables:
            self._tables.move_to_end(key)
            return self._tables[key]
        # Made in inference mode they would be useless to a later training.
        with torch.inference_mode(False):
            self._tables[key] = rope_pairs(*self.rotary(grid, device), self.prefix)
        if len(self._tables) > GRIDS_KEPT:
            self._tables.popitem(last=False)
        return self._tables[key]

    def run_block(
        self,
        block: nn.Module,
        tokens: Tensor,
        positions: Tensor | None,
        queries: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Attention and MLP, each with its norm and residual (see ``ViTTower``)."""
        context = _before_attention(block, tokens)
        looking = context if queries is None else _before_attention(block, queries)
        mixed = timm_attention(block.attn, looking, context, positions, mask)
        return _after_attention(block, tokens if queries is None else queries, mixed)

    def run_value_path(self, block: nn.Module, tokens: Tensor) -> Tensor:
        """The block with attention reduced to its value path (see ``ViTTower``)."""
        mixed = timm_value_path(block.attn, _before_attention(block, tokens))
        return _after_attention(block, tokens, mixed)

    def run_self_correlation(
        self, block: nn.Module, tokens: Tensor, positions: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The attention branch alone, with self-correlation (see ``ViTTower``)."""
        mixed, context = timm_self_correlation(
            block.attn, _before_attention(block, tokens), self.last_block, positions
        )
        return block.norm1(mixed) if isinstance(block, EvaBlockPostNorm) else mixed, context

    def project(self, tokens: Tensor) -> Tensor:
        """Final norm, pooling of one token where it is attention, and projection."""
        trunk = self.visual.trunk
        tokens = trunk.norm(tokens)
        if trunk.attn_pool is not None:
            tokens = latent_value_path(trunk.attn_pool, tokens)
        return trunk.head(tokens)

    def pool(self, tokens: Tensor) -> Tensor:
        """The class token or the attention pooling of all tokens, projected."""
        trunk = self.visual.trunk
        if self.pools_class_token:
            return self.project(tokens[:, 0])
        return trunk.head(trunk.attn_pool(trunk.norm(tokens)))

    def parameters_off_value_path(self, block: nn.Module) -> list[nn.Parameter]:
        """The query and key projections, where they are parameters of their own."""
        if block.attn.q_proj is None:
            return [] if block.attn.q_bias is None else [block.attn.q_bias]
        return parameters_of(block.attn.q_proj, block.attn.k_proj)

    def parameters_off_self_correlation(self, block: nn.Module) -> list[nn.Parameter]:
        """The MLP with its norm, and the key projection where queries alone are compared."""
        unused = parameters_of(block.norm2, block.mlp)
        if self.last_block == 'qq' and block.attn.k_proj is not None:
            unused += parameters_of(block.attn.k_proj)
        return unused


def _before_attention(block: nn.Module, tokens: Tensor) -> Tensor:
    return tokens if isinstance(block, EvaBlockPostNorm) else block.norm1(tokens)


def _after_attention(block: nn.Module, stream: Tensor, mixed: Tensor) -> Tensor:
    if isinstance(block, EvaBlockPostNorm):
        stream = stream + block.norm1(mixed)
        return stream + block.norm2(block.mlp(stream))
    stream = stream + mixed
    return stream + block.mlp(block.norm2(stream))


def _check_trunk(trunk: nn.Module) -> None:
    if not isinstance(trunk, Eva):
        raise NotImplementedError(f'expected an EVA-02 trunk, got a {type(trunk).__name__}')
    rope = trunk.rope
    unknown = {
        f'pooling {trunk.global_pool!r}': trunk.global_pool not in ('token', 'map'),
        "an attention pooling that is not timm's latent one": trunk.attn_pool is not None
        and not isinstance(trunk.attn_pool, AttentionPoolLatent),
        'register tokens': trunk.reg_token is not None,
        'no learned positions, or none for its class token': trunk.pos_embed is None
        or trunk.no_embed_class,
        'layer scale': any(getattr(b, 'gamma_1', None) is not None for b in trunk.blocks),
        "another rotary embedding than EVA-02's": rope is not None
        and getattr(rope, 'ref_feat_shape', None) is None,
        'a norm after its pooling': not isinstance(trunk.fc_norm, nn.Identity),
        'no projection': not isinstance(trunk.head, nn.Linear),
    }
    found = [part for part, present in unknown.items() if present]
    if found:
        raise NotImplementedError(f'this Eva trunk has {", ".join(found)}')
    for block in trunk.blocks:
        check_timm_attention(block.attn)
    if trunk.attn_pool is not None:
        check_latent_pool(trunk.attn_pool)
