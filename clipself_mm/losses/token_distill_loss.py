"""Distils every token: its target is the mean embedding of the crops that contain it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from clipself_mm.clip import box_cover

from .dense_batch import DenseBatch


def token_targets(
    boxes_px: Sequence[Tensor], targets: Tensor, grid: tuple[int, int], patch_size: int
) -> tuple[list[Tensor], list[Tensor]]:
    """Mean of the unit embeddings of the regions over each cell, weighted by what they cover.

    Args:
        boxes_px: Regions per image, xyxy in pixels, shape (R_i, 4).
        targets: Embeddings of all regions, images in order, shape (sum of R_i, D).
        grid: (h, w) of the token grid.
        patch_size: Side of a cell in pixels.

    Returns:
        Per image the means, not normalised, float32 of shape (h w, D), and the share of each cell
        that any region covers, summed over regions, shape (h w).
    """
    unit = F.normalize(targets.float(), dim=-1)
    means, covers = [], []
    counts = [len(boxes) for boxes in boxes_px]
    for boxes, rows in zip(boxes_px, unit.split(counts), strict=True):
        cover = box_cover(boxes.to(unit), grid, patch_size).flatten(1)
        covers.append(cover.sum(dim=0))
        with torch.autocast(cover.device.type, enabled=False):
            means.append(cover.T @ rows / covers[-1].clamp_min(1e-6)[:, None])
    return means, covers


@MODELS.register_module()
class TokenDistillLoss(nn.Module):
    """Mean of 1 - cos between a token and the mean of the crops that contain it.

    Mean targets over several grids have less noise than the crop of one cell:
    ``GridRegions(grids=...)``. Cells without a region and cells that are only padding are left
    out. All images have equal weight; one without a region has the loss 0.
    It follows the idea of averaged multi-scale targets (SigLIP-HD, ICLR 2026, by a third party's
    note; its windows and scales are different).

    Args:
        loss_weight: Factor on the loss.
    """

    name = 'loss_token'

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, batch: DenseBatch) -> Tensor:
        """Mean over the images of a batch, a scalar."""
        height, width = batch.dense.shape[-2:]
        means, covers = token_targets(
            batch.boxes_px, batch.targets, (height, width), batch.student.patch_size
        )
        # A box may reach into the padding by the rounding of the image's size.
        inside = batch.inside.flatten(1).to(batch.dense.device, non_blocking=True)
        losses = []
        for tokens, target, cover, cells in zip(
            batch.dense.flatten(2), means, covers, inside, strict=True
        ):
            distance = 1 - F.cosine_similarity(tokens.float().T, target, dim=-1)
            covered = ((cover > 0) & cells).to(distance)
            losses.append((distance * covered).sum() / covered.sum().clamp_min(1))
        return self.loss_weight * torch.stack(losses).mean()
