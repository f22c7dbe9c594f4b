"""Keeps the image embedding of the student: crops encoded as images follow the teacher."""

from __future__ import annotations

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from .cosine_distill_loss import cosine_distance
from .dense_batch import DenseBatch
from .region_count import mean_region_count


@MODELS.register_module()
class ImageDistillLoss(nn.Module):
    """Mean of 1 - cos between the student's and the teacher's embeddings of some crops.

    CLIPSelf trains the dense map alone, and the class token, which the image embedding is read
    from, is lost. The first regions of an image are taken: a random choice, as region samplers
    shuffle, but the whole image with ``GridRegions(whole=True)``. Each crop costs the student a
    forward and a backward pass of the teacher's input size.

    Args:
        crops: Largest number of crops per image.
        loss_weight: Factor on the loss.
    """

    name = 'loss_image'
    needs_crops = True
    """Does not work with a teacher cache, which leaves out crops."""

    def __init__(self, crops: int = 1, loss_weight: float = 1.0) -> None:
        super().__init__()
        if not isinstance(crops, int) or crops < 1:
            raise ValueError(f'crops must be a whole number of at least 1, got {crops}')
        self.crops = crops
        self.loss_weight = loss_weight

    def forward(self, batch: DenseBatch) -> Tensor:
        """Mean over the chosen crops of a batch, over all processes, a scalar."""
        counts = [len(boxes) for boxes in batch.boxes_px]
        crops, targets = (
            torch.cat([rows[: self.crops] for rows in items.split(counts)])
            for items in (batch.crops, batch.targets)
        )
        # Without a crop, the empty features of the regions: 0, with a gradient.
        student = batch.student.encode_image(crops) if len(crops) else batch.pooled
        count = mean_region_count(targets)
        return self.loss_weight * cosine_distance(student, targets, count)
