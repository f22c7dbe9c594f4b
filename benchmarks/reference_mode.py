"""Towers that compute what ours compute in the way the reference release does, to compare costs.

They wrap the same modules and give the same numbers (tested). What differs: on a processor
attention keeps its weights, one number for each pair of tokens and head; the teacher's last block
updates every token although only the class token is read; rotation is written in real numbers; no
part is told that it needs no gradient other than by ``requires_grad``.

On a card attention is torch's memory-efficient kernel, which stands for xformers': the release's
EVA-02 configs have ``xattn: true``, and it writes attention out only where xformers is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from open_clip.model import _build_text_tower
from torch import Tensor, nn

from clipself_mm.clip.attention import projections
from clipself_mm.clip.eva02_vit import EVA02ViT
from clipself_mm.clip.openclip_vit import OpenCLIPViT
from clipself_mm.clip.vit_tower import ViTTower

CROPS_OF_AN_IMAGE = 20
"""To which the reference pads."""
Tables = tuple[Tensor, Tensor]
"""(sine, cosine) for all tokens but the first."""


def only_kernel(name: str) -> AbstractContextManager:
    """A context in which one kernel of attention is allowed; newer and older torch name it so.

    Args:
        name: ``EFFICIENT_ATTENTION`` or ``FLASH_ATTENTION``.
    """
    try:
        from torch.nn.attention import SDPBackend, sdpa_kernel
    except ImportError:
        return torch.backends.cuda.sdp_kernel(
            enable_flash=name == 'FLASH_ATTENTION',
            enable_math=False,
            enable_mem_efficient=name == 'EFFICIENT_ATTENTION',
        )
    return sdpa_kernel(getattr(SDPBackend, name))


def reference_attention(
    query: Tensor, key: Tensor, value: Tensor, heads: int, tables: Tables | None
) -> Tensor:
    """Attention as the release computes it on the device; as ``written_out_attention``."""
    attention = efficient_attention if query.is_cuda else written_out_attention
    return attention(query, key, value, heads, tables)


def efficient_attention(
    query: Tensor, key: Tensor, value: Tensor, heads: int, tables: Tables | None
) -> Tensor:
    """Attention by the memory-efficient kernel; as ``written_out_attention``."""
    query, key, value = _by_heads(query, key, value, heads, tables)
    with only_kernel('EFFICIENT_ATTENTION') if query.is_cuda else nullcontext():
        mixed = F.scaled_dot_product_attention(query, key, value)
    return mixed.transpose(1, 2).flatten(2)


def written_out_attention(
    query: Tensor, key: Tensor, value: Tensor, heads: int, tables: Tables | None
) -> Tensor:
    """Attention by its matrix of weights.

    Args:
        query: Shape (N, L, C).
        key: Likewise.
        value: Likewise.
        heads: Number of heads.
        tables: (sine, cosine) for all tokens but the first, None for no rotation.

    Returns:
        Shape (N, L, C).
    """
    query, key, value = _by_heads(query, key, value, heads, tables)
    weights = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    return (weights.softmax(dim=-1) @ value).transpose(1, 2).flatten(2)


def _by_heads(
    query: Tensor, key: Tensor, value: Tensor, heads: int, tables: Tables | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Tensors of shape (N, heads, L, C / heads), queries and keys rotated."""
    query, key, value = (
        item.unflatten(-1, (heads, -1)).transpose(1, 2) for item in (query, key, value)
    )
    if tables is not None:
        query, key = (_turned(item, *tables).type_as(value) for item in (query, key))
    return query, key, value


def _turned(features: Tensor, sine: Tensor, cosine: Tensor) -> Tensor:
    still, patches = features[:, :, :1], features[:, :, 1:]
    swapped = torch.stack([-patches[..., 1::2], patches[..., ::2]], dim=-1).flatten(-2)
    return torch.cat([still, patches * cosine + swapped * sine], dim=2)


class _ReferenceTower(ViTTower):
    def encode_image(self, images: Tensor) -> Tensor:
        """Image embedding after every block has updated every token."""
        tokens, _, positions = self.embed(images)
        for block in self.blocks:
            tokens = self.run_block(block, tokens, positions)
        return self.pool(tokens)

    def _embed(self, images: Tensor) -> tuple:
        return self.embed(images)

    def _step(self, index: int, run: Callable, *inputs: object) -> Tensor:
        return run(self.blocks[index], *inputs)


class ReferenceEVA02ViT(_ReferenceTower, EVA02ViT):
    """EVA-02 in reference mode; arguments of ``EVA02ViT``."""

    def rope(self, grid: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
        """Sine and cosine, the tables that the reference keeps."""
        key = (grid, device)
        if key not in self._tables:
            self._tables[key] = self.rope_tables(grid, device)
        return self._tables[key]

    def run_block(
        self, block: nn.Module, tokens: Tensor, positions: tuple[Tensor, Tensor]
    ) -> Tensor:
        """A block with the attention of the reference."""
        normed = block.norm1(tokens)
        parts = (F.linear(normed, *part) for part in projections(block.attn))
        mixed = reference_attention(*parts, block.attn.num_heads, positions)
        tokens = tokens + block.attn.proj(block.attn.norm(mixed))
        return tokens + block.mlp(block.norm2(tokens))


class ReferenceOpenCLIPViT(_ReferenceTower, OpenCLIPViT):
    """OpenAI's ViT in reference mode; arguments of ``OpenCLIPViT``."""

    def run_block(self, block: nn.Module, tokens: Tensor, positions: None) -> Tensor:
        """A block with the attention of the reference."""
        attention, normed = block.attn, block.ln_1(tokens)
        packed = F.linear(normed, attention.in_proj_weight, attention.in_proj_bias)
        mixed = reference_attention(*packed.chunk(3, dim=-1), attention.num_heads, None)
        tokens = tokens + attention.out_proj(mixed)
        return tokens + block.mlp(block.ln_2(tokens))


def as_reference(tower: ViTTower) -> ViTTower:
    """A tower in reference mode around the same modules and weights.

    Args:
        tower: EVA-02 as in CLIP or OpenAI's; ours.

    Raises:
        NotImplementedError: There is no reference mode of this kind.
    """
    kinds = {EVA02ViT: ReferenceEVA02ViT, OpenCLIPViT: ReferenceOpenCLIPViT}
    if type(tower) not in kinds:
        raise NotImplementedError(f'no reference mode of a {type(tower).__name__}')
    twin = kinds[type(tower)](tower.visual, mean=tower.mean, std=tower.std)
    twin.source = tower.source
    return twin.train(tower.training)


def text_tower_of(tower: ViTTower) -> nn.Module:
    """The text tower that the reference loads beside student and teacher, with random weights."""
    config = tower.source.config
    text = _build_text_tower(
        config['embed_dim'], dict(config['text_cfg']), config.get('quick_gelu', False)
    )
    return text.requires_grad_(False)
