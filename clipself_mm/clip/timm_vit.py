"""Adapter of timm's plain ViT inside open_clip's ``TimmModel``: SigLIP, SigLIP 2, MobileCLIP-B."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from open_clip.timm_model import TimmModel
from timm.layers import AttentionPoolLatent, HybridEmbed, PatchEmbed
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from .attention import check_timm_attention, timm_attention, timm_value_path
from .attention_pool import check_latent_pool, latent_value_path
from .positions import resize_positions, token_grid
from .self_correlation import parameters_of, timm_self_correlation
from .vit_tower import Embedded, ViTTower
from .weights.tower_source import CLIP_MEAN, CLIP_STD

_POOLINGS = ('token', 'map', 'avg')


class TimmViT(ViTTower):
    """A ViT of timm: fused attention, a patch convolution or a small convolutional stem.

    It pools by the class token, by the mean of the patches, or by attention with one learned query
    (SigLIP, which has no class token).

    Args:
        visual: open_clip's ``TimmModel`` around timm's ``VisionTransformer``.
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
        patch_size = trunk.patch_embed.feat_ratio()
        linear = [m for m in (trunk.head, *visual.head.modules()) if isinstance(m, nn.Linear)]
        super().__init__(
            visual,
            width=trunk.embed_dim,
            dim=linear[-1].out_features if linear else trunk.embed_dim,
            patch_size=patch_size,
            # The model ignores the last pixels of a side that is not a multiple of the patch size.
            image_size=trunk.patch_embed.grid_size[0] * patch_size,
            mean=mean,
            std=std,
            prefix=trunk.num_prefix_tokens,
            pools_class_token=trunk.global_pool == 'token',
        )

    @property
    def blocks(self) -> nn.Sequential:
        """The transformer blocks in order."""
        return self.visual.trunk.blocks

    def train(self, mode: bool = True) -> TimmViT:
        """Set the mode; a frozen stem keeps the statistics of its batch norms."""
        super().train(mode)
        if not self.trains_stem:
            self.visual.trunk.patch_embed.eval()
        return self

    def unlock_blocks(self, count: int | None = None) -> None:
        """Freeze the tower but for its last ``count`` blocks (see ``ViTTower``)."""
        super().unlock_blocks(count)
        self.train(self.training)

    def embed(self, images: Tensor) -> Embedded:
        """Convolve, add positions, prepend the class token (see ``ViTTower``)."""
        trunk = self.visual.trunk
        stem = getattr(trunk.patch_embed, 'backbone', nn.Identity())
        patches = trunk.patch_embed.proj(stem(images))
        grid = token_grid(patches)
        tokens = patches.flatten(2).transpose(1, 2)
        prefix = 0 if trunk.no_embed_class else self.prefix
        positions = resize_positions(trunk.pos_embed[0], grid, prefix=prefix)
        tokens = tokens + positions[prefix:]
        if self.prefix:
            cls_token = trunk.cls_token[0] + positions[:prefix] if prefix else trunk.cls_token[0]
            tokens = torch.cat([cls_token.expand(images.shape[0], -1, -1), tokens], dim=1)
        return Embedded(trunk.norm_pre(tokens), grid, None)

    def run_block(
        self,
        block: Block,
        tokens: Tensor,
        positions: Tensor | None,
        queries: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Pre-norm attention and MLP, each with its residual (see ``ViTTower``)."""
        context = block.norm1(tokens)
        stream, normed = (tokens, context) if queries is None else (queries, block.norm1(queries))
        stream = stream + block.ls1(timm_attention(block.attn, normed, context, mask=mask))
        return stream + block.ls2(block.mlp(block.norm2(stream)))

    def run_value_branch(self, block: Block, tokens: Tensor) -> Tensor:
        """The attention branch reduced to its values (see ``ViTTower``)."""
        return block.ls1(timm_value_path(block.attn, block.norm1(tokens)))

    def run_value_path(self, block: Block, tokens: Tensor) -> Tensor:
        """The block with attention reduced to its value path (see ``ViTTower``)."""
        tokens = tokens + self.run_value_branch(block, tokens)
        return tokens + block.ls2(block.mlp(block.norm2(tokens)))

    def run_self_correlation(
        self, block: Block, tokens: Tensor, positions: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The attention branch alone, with self-correlation (see ``ViTTower``)."""
        mixed, context = timm_self_correlation(block.attn, block.norm1(tokens), self.last_block)
        return block.ls1(mixed), context

    def project(self, tokens: Tensor) -> Tensor:
        """Final norms, attention pooling of one token if there is one, and projection."""
        trunk = self.visual.trunk
        tokens = trunk.norm(tokens)
        if trunk.attn_pool is not None:
            tokens = latent_value_path(trunk.attn_pool, tokens)
        return self.visual.head(trunk.head(trunk.fc_norm(tokens)))

    def pool(self, tokens: Tensor) -> Tensor:
        """Pooling and projection of the wrapped model."""
        trunk = self.visual.trunk
        pooled = trunk.fc_norm(trunk.pool(trunk.norm(tokens)))
        return self.visual.head(trunk.head(pooled))

    def parameters_off_value_path(self, block: Block) -> list[nn.Parameter]:
        """Empty: queries, keys and values are one packed tensor."""
        return []

    def parameters_off_self_correlation(self, block: Block) -> list[nn.Parameter]:
        """The MLP with its norm and scale."""
        return parameters_of(block.norm2, block.mlp, block.ls2)


def _check_trunk(trunk: VisionTransformer) -> None:
    if type(trunk) is not VisionTransformer:
        raise NotImplementedError(f"expected timm's plain ViT, got a {type(trunk).__name__}")
    unsupported = {
        f'pooling {trunk.global_pool!r}': trunk.global_pool not in _POOLINGS,
        "an attention pooling that is not timm's latent one": trunk.attn_pool is not None
        and not isinstance(trunk.attn_pool, AttentionPoolLatent),
        'register tokens': trunk.reg_token is not None,
        'no learned positions': trunk.pos_embed is None,
        'a mean that includes the class token': trunk.pool_include_prefix,
        'blocks that are not the standard ones': any(type(b) is not Block for b in trunk.blocks),
        f'a stem of type {type(trunk.patch_embed).__name__}': type(trunk.patch_embed)
        not in (PatchEmbed, HybridEmbed),
        'a norm after the patch convolution': not isinstance(
            getattr(trunk.patch_embed, 'norm', nn.Identity()), nn.Identity
        ),
    }
    found = [part for part, present in unsupported.items() if present]
    if found:
        raise NotImplementedError(f'a ViT of timm with {", ".join(found)} is not supported')
    for block in trunk.blocks:
        check_timm_attention(block.attn)
    if trunk.attn_pool is not None:
        check_latent_pool(trunk.attn_pool)
