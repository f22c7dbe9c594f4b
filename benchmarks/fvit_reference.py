"""The plain way to run F-ViT, for ratios taken in one run: built of our own modules by subclass.

Attention's weights are materialised, turns of the rotary embedding are real products, regions are
pooled by mmcv's operation and convolved in the default memory format, every pair of region and
class becomes a box before mmdet's suppression.
"""

from __future__ import annotations

import torch
from mmdet.models.roi_heads.bbox_heads import ConvFCBBoxHead
from mmengine.registry import MODELS
from timm.models.eva import EvaBlock
from torch import Tensor, nn

from clipself_mm.clip.build_tower import tower_of
from clipself_mm.clip.eva02_vit import EVA02ViT
from clipself_mm.clip.tower_source import find_source
from clipself_mm.clip.value_path import projections
from clipself_mm.detection import FViTBBoxHead


class MaterialisedEVA02ViT(EVA02ViT):
    """EVA-02 whose attention weights are a tensor of shape (N, heads, L, L)."""

    def run_block(
        self,
        block: nn.Module,
        tokens: Tensor,
        positions: object,
        queries: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """One block of self-attention (see ``ViTTower``).

        Raises:
            NotImplementedError: There are other queries, a mask, or the block norms afterwards.
        """
        if queries is not None or mask is not None or type(block) is not EvaBlock:
            raise NotImplementedError('the plain way is written for self-attention of EVA-02')
        normed = block.norm1(tokens)
        attention = block.attn
        query, key, value = (
            nn.functional.linear(normed, *part)
            .unflatten(-1, (attention.num_heads, -1))
            .transpose(1, 2)
            for part in projections(attention)
        )
        query, key = self._turn(query), self._turn(key)
        weights = (attention.scale * query @ key.transpose(-1, -2)).softmax(dim=-1)
        mixed = (weights @ value).transpose(1, 2).flatten(2)
        tokens = tokens + attention.proj(attention.norm(mixed))
        return tokens + block.mlp(block.norm2(tokens))

    def embed(self, images: Tensor) -> object:
        """As EVA-02's, the grid kept for its tables."""
        embedded = super().embed(images)
        self._sine, self._cosine = self.rotary(embedded.grid, images.device)
        return embedded

    def _turn(self, features: Tensor) -> Tensor:
        patches = features[:, :, self.prefix :]
        turned = torch.stack([-patches[..., 1::2], patches[..., ::2]], dim=-1).flatten(-2)
        turned = patches * self._cosine + turned * self._sine
        return torch.cat([features[:, :, : self.prefix], turned], dim=2)


@MODELS.register_module(name='MaterialisedTower')
def build_materialised(model: str, checkpoint: str | None = None) -> MaterialisedEVA02ViT:
    """A tower with random weights.

    Args:
        model: Name of an EVA-02 CLIP.
        checkpoint: None; a config's key, weights make no difference to time.
    """
    source = find_source(model, checkpoint)
    tower = MaterialisedEVA02ViT(tower_of(source).visual)
    tower.source = source
    return tower


@MODELS.register_module()
class PlainFViTBBoxHead(FViTBBoxHead):
    """`FViTBBoxHead` with mmdet's own pass and suppression."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """mmdet's."""  # noqa: D403
        return ConvFCBBoxHead.forward(self, x)

    def _predict_by_feat_single(self, *args: object, **kwargs: object) -> object:
        return ConvFCBBoxHead._predict_by_feat_single(self, *args, **kwargs)


def plain(model: dict) -> dict:
    """A detector's config with the plain parts in place of ours.

    Args:
        model: Config of an F-ViT on EVA-02; it is changed.
    """
    model['backbone']['tower']['type'] = 'MaterialisedTower'
    model['roi_head']['bbox_head']['type'] = 'PlainFViTBBoxHead'
    return model
