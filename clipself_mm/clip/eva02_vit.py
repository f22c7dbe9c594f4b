"""Adapter of EVA-02: timm's trunk inside open_clip's ``TimmModel``."""

from collections.abc import Sequence

import torch
from timm.models.eva import Eva, EvaAttention
from torch import Tensor, nn

from .positions import resize_positions, rotary_table
from .value_path import Rotary, rotary_attention, rotary_value_path
from .vision_tower import CLIP_MEAN, CLIP_STD, Embedded, VisionTower


class EVA02ViT(VisionTower):
    """An EVA-02 CLIP ViT: learned and rotary positions, inner norms, head with bias.

    The rotary tables are rebuilt for the grid of each input (timm inside open_clip keeps the native
    grid's), for any grid, square or not.

    Args:
        visual: A module whose ``trunk`` is timm's ``Eva`` with the projection as its head.
        mean: RGB mean of its inputs, in 0-1 units.
        std: RGB standard deviation of its inputs, in 0-1 units.

    Raises:
        NotImplementedError: The trunk is not an EVA-02 that pools by its class token.
    """

    def __init__(
        self,
        visual: nn.Module,
        mean: Sequence[float] = CLIP_MEAN,
        std: Sequence[float] = CLIP_STD,
    ) -> None:
        trunk = visual.trunk
        attentions = [getattr(block, 'attn', None) for block in getattr(trunk, 'blocks', [])]
        if (
            not isinstance(trunk, Eva)
            or trunk.rope is None
            or trunk.global_pool != 'token'
            or not all(isinstance(a, EvaAttention) and a.q_proj is not None for a in attentions)
        ):
            raise NotImplementedError('expected an EVA-02 trunk with rotary positions')
        super().__init__(
            visual,
            width=trunk.embed_dim,
            dim=trunk.head.out_features,
            patch_size=trunk.patch_embed.patch_size[0],
            image_size=trunk.patch_embed.img_size[0],
            mean=mean,
            std=std,
        )
        self._tables: dict[tuple, Rotary] = {}

    @property
    def blocks(self) -> nn.ModuleList:
        """The transformer blocks in order."""
        return self.visual.trunk.blocks

    def embed(self, images: Tensor) -> Embedded:
        """Convolve, prepend the class token, add learned positions (see ``VisionTower``)."""
        trunk = self.visual.trunk
        patches = trunk.patch_embed.proj(images)
        grid = tuple(patches.shape[-2:])
        cls_token = trunk.cls_token.expand(len(images), -1, -1)
        tokens = torch.cat([cls_token, patches.flatten(2).transpose(1, 2)], dim=1)
        tokens = tokens + resize_positions(trunk.pos_embed[0], grid)
        return Embedded(tokens, grid, self.rotary(grid, images.device))

    def rotary(self, grid: tuple[int, int], device: torch.device) -> Rotary:
        """The (sine, cosine) tables of a token grid, made once a grid and device."""
        key = (grid, device)
        if key not in self._tables:
            head_dim = self.blocks[0].attn.head_dim
            side = self.visual.trunk.rope.ref_feat_shape[0]
            self._tables[key] = rotary_table(grid, head_dim, pretrained_side=side, device=device)
        return self._tables[key]

    def run_block(
        self,
        block: nn.Module,
        tokens: Tensor,
        positions: Rotary,
        queries: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Pre-norm attention and MLP, each with its residual (see ``VisionTower``)."""
        context = block.norm1(tokens)
        stream, looking = (tokens, context) if queries is None else (queries, block.norm1(queries))
        stream = stream + rotary_attention(block.attn, looking, context, positions, mask)
        return stream + block.mlp(block.norm2(stream))

    def run_value_path(self, block: nn.Module, tokens: Tensor) -> Tensor:
        """The block with attention reduced to its value path (see ``VisionTower``)."""
        tokens = tokens + rotary_value_path(block.attn, block.norm1(tokens))
        return tokens + block.mlp(block.norm2(tokens))

    def project(self, tokens: Tensor) -> Tensor:
        """Final norm and projection into the joint space."""
        return self.visual.trunk.head(self.visual.trunk.norm(tokens))

    def parameters_off_value_path(self, block: nn.Module) -> list[nn.Parameter]:
        """The separate query and key projections."""
        return [*block.attn.q_proj.parameters(), *block.attn.k_proj.parameters()]
