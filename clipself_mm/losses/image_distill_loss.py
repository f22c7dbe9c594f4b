"""Keeps the image embedding of the student: crops encoded as images follow the teacher."""

from __future__ import annotations

import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from .cosine_distill_loss import cosine_distance
from .dense_batch import DenseBatch
from .region_count import mean_region_count


def first_regions(counts: list[int], number: int) -> list[int]:
    """Rows of the first regions of each image.

    Args:
        counts: Regions per image.
        number: Largest number of rows per image.

    Returns:
        Indices of rows, images in order.
    """
    rows, start = [], 0
    for count in counts:
        rows += range(start, start + min(count, number))
        start += count
    return rows


@MODELS.register_module()
class ImageDistillLoss(nn.Module):
    """Mean of 1 - cos between the student's and the teacher's embeddings of some crops.

    CLIPSelf trains the dense map alone, and the class token, which the image embedding is read
    from, is lost. Regions are in random order, so the first ones of an image are a random choice.
    A crop of the teacher's size costs the student a forward and a backward pass of its own.

    Args:
        crops: Crops per image.
        loss_weight: Factor on the loss.
    """

    name = 'loss_image'

    def __init__(self, crops: int = 1, loss_weight: float = 1.0) -> None:
        super().__init__()
        if crops < 1:
            raise ValueError(f'crops must be at least 1, got {crops}')
        self.crops = crops
        self.loss_weight = loss_weight

    def forward(self, batch: DenseBatch) -> Tensor:
        """Mean over the crops of a batch, a scalar.

        Raises:
            ValueError: Crops are missing, because their embeddings are cached.
        """
        if len(batch.crops) != len(batch.targets):
            raise ValueError(
                'ImageDistillLoss needs the crop of every region, got '
                f'{len(batch.crops)} crops and {len(batch.targets)} regions: it does not work with '
                'model.teacher_cache'
            )
        rows = first_regions([len(boxes) for boxes in batch.boxes_px], self.crops)
        if not rows:
            return batch.dense.sum() * 0
        student = F.normalize(batch.student.encode_image(batch.crops[rows]), dim=-1)
        count = mean_region_count(student)
        return self.loss_weight * cosine_distance(student, batch.targets[rows], count)
