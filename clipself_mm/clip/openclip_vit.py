"""Adapter of open_clip's own ViT: towers of OpenAI, LAION, DataComp, MetaCLIP, DFN, CLIPA, ..."""

from collections.abc import Sequence

import torch
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import Tensor, nn

from .attention import packed_attention, packed_value_path
from .positions import resize_positions, token_grid
from .self_correlation import packed_self_correlation, parameters_of
from .vit_tower import Embedded, ViTTower
from .weights.tower_source import CLIP_MEAN, CLIP_STD


class OpenCLIPViT(ViTTower):
    """An OpenAI-style ViT: learned positions, packed attention, projection without bias.

    It pools by the class token or, as CLIPA, by the mean of the patches.

    Args:
        visual: open_clip's ``VisionTransformer``.
        mean: RGB mean of its inputs, in 0-1 units.
        std: RGB standard deviation of its inputs, in 0-1 units.
    """

    def __init__(
        self,
        visual: VisionTransformer,
        mean: Sequence[float] = CLIP_MEAN,
        std: Sequence[float] = CLIP_STD,
    ) -> None:
        if visual.attn_pool is not None or visual.pool_type not in ('tok', 'avg'):
            raise NotImplementedError(
                'expected a ViT that pools by its class token or the mean of its patches, got '
                f'attn_pool {type(visual.attn_pool).__name__}, pool_type {visual.pool_type!r}'
            )
        if len(set(visual.image_size)) > 1:  # positions are resized from a square
            raise NotImplementedError(
                f'expected a ViT of square images, got image_size {visual.image_size}'
            )
        for block in visual.transformer.resblocks:
            if type(block) is not ResidualAttentionBlock:
                raise NotImplementedError(
                    f"only open_clip's ResidualAttentionBlock works, got {type(block).__name__}"
                )
        super().__init__(
            visual,
            width=visual.conv1.out_channels,
            dim=visual.output_dim,
            patch_size=visual.patch_size[0],
            image_size=visual.image_size[0],
            mean=mean,
            std=std,
            pools_class_token=visual.pool_type == 'tok',
        )

    @property
    def blocks(self) -> nn.ModuleList:
        """The transformer blocks in order."""
        return self.visual.transformer.resblocks

    def embed(self, images: Tensor) -> Embedded:
        """Convolve, prepend the class token, add positions, norm (see ``ViTTower``)."""
        visual = self.visual
        patches = visual.conv1(images)
        grid = token_grid(patches)
        cls_token = visual.class_embedding.to(patches.dtype).expand(images.shape[0], 1, -1)
        tokens = torch.cat([cls_token, patches.flatten(2).transpose(1, 2)], dim=1)
        tokens = tokens + resize_positions(visual.positional_embedding, grid).to(tokens.dtype)
        return Embedded(visual.ln_pre(tokens), grid, None)

    def run_block(
        self,
        block: ResidualAttentionBlock,
        tokens: Tensor,
        positions: Tensor | None,
        queries: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Pre-norm attention and MLP, each with its residual (see ``ViTTower``)."""
        context = block.ln_1(tokens)
        stream, normed = (tokens, context) if queries is None else (queries, block.ln_1(queries))
        stream = stream + block.ls_1(packed_attention(block.attn, normed, context, mask))
        return stream + block.ls_2(block.mlp(block.ln_2(stream)))

    def run_value_branch(self, block: ResidualAttentionBlock, tokens: Tensor) -> Tensor:
        """The attention branch reduced to its values (see ``ViTTower``)."""
        return block.ls_1(packed_value_path(block.attn, block.ln_1(tokens)))

    def run_value_path(self, block: ResidualAttentionBlock, tokens: Tensor) -> Tensor:
        """The block with attention reduced to its value path (see ``ViTTower``)."""
        tokens = tokens + self.run_value_branch(block, tokens)
        return tokens + block.ls_2(block.mlp(block.ln_2(tokens)))

    def run_self_correlation(
        self, block: ResidualAttentionBlock, tokens: Tensor, positions: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The attention branch alone, with self-correlation (see ``ViTTower``)."""
        mixed, context = packed_self_correlation(block.attn, block.ln_1(tokens), self.last_block)
        return block.ls_1(mixed), context

    def project(self, tokens: Tensor) -> Tensor:
        """Final norm and projection into the joint space."""
        return self.visual.ln_post(tokens) @ self.visual.proj

    def pool(self, tokens: Tensor) -> Tensor:
        """The class token, or the mean of the patches before or after norm and projection."""
        if self.pools_class_token:
            return self.project(tokens[:, 0])
        patches = tokens[:, self.prefix :]
        if self.visual.final_ln_after_pool:
            return self.project(patches.mean(dim=1))
        return self.project(patches).mean(dim=1)

    def parameters_off_value_path(self, block: ResidualAttentionBlock) -> list[nn.Parameter]:
        """Empty: queries, keys and values are one packed tensor."""
        return []

    def parameters_off_self_correlation(self, block: ResidualAttentionBlock) -> list[nn.Parameter]:
        """The MLP with its norm and scale."""
        return parameters_of(block.ln_2, block.mlp, block.ls_2)
