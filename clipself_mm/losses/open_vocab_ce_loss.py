"""Cross entropy of an open-vocabulary detector: classes without boxes are not in the softmax."""

from __future__ import annotations

from typing import Any

import torch
from mmdet.models.losses import (
    CrossEntropyLoss,
    accuracy,
    binary_cross_entropy,
    weight_reduce_loss,
)
from mmengine.registry import MODELS
from torch import Tensor

UNSEEN = 1e-5
"""A class weight below this means that the class has no boxes in training."""


def mask_unseen(logits: Tensor, class_weight: Tensor) -> Tensor:
    """Exclude the columns of unseen classes from a softmax.

    Args:
        logits: Shape (R, K).
        class_weight: Shape (K).

    Returns:
        A copy with -inf in the columns of weight below `UNSEEN`.
    """
    return logits.masked_fill(class_weight < UNSEEN, -torch.inf)


@MODELS.register_module()
class OpenVocabCELoss(CrossEntropyLoss):
    """mmdet's cross entropy in which a class weight of 0 also removes the class from the softmax.

    Two differences from the official implementation, which gives NaN or changes its input there: a
    label of a removed class is ignored, and the logits are not modified in place.

    As `loss_cls` of an mmdet head it applies no activation at test time (`get_activation`): the
    head passes probabilities, because fused scores must not get a second softmax.

    Args:
        **kwargs: As in mmdet's `CrossEntropyLoss`; `class_weight` lists K + 1 weights, background
            last, or K with `use_sigmoid`, which exists for parity with the official
            implementation: the heads of this package use a softmax.
    """

    custom_cls_channels = True
    custom_activation = True
    custom_accuracy = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        weights = None if self.class_weight is None else torch.tensor(self.class_weight)
        # mmdet copies the list to the device in every step, which waits for it.
        self.register_buffer('weights', weights, persistent=False)

    def get_cls_channels(self, num_classes: int) -> int:
        """Columns of the classifier: K with sigmoid, K + 1 with softmax."""
        return num_classes if self.use_sigmoid else num_classes + 1

    def get_activation(self, cls_score: Tensor) -> Tensor:
        """Identity: the head passes probabilities."""
        return cls_score

    def get_accuracy(self, cls_score: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Top-1 accuracy among the trained classes, in percent."""
        if self.weights is not None:
            cls_score = mask_unseen(cls_score, self.weights.to(cls_score))
        return {'acc': accuracy(cls_score, labels)}

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
        ignore_index: int | None = None,
        **kwargs: object,
    ) -> Tensor:
        """The loss, averaged over regions and not over class weights.

        Args:
            cls_score: Logits, shape (R, K + 1).
            label: Shape (R); `ignore_index` (default -100) is ignored.
            weight: Weight per region, shape (R).
            avg_factor: Divisor of the sum; R by default.
            reduction_override: 'none', 'mean' or 'sum' instead of the configured one.
            ignore_index: Replaces the configured one.
            **kwargs: As in mmdet's loss.
        """
        if self.weights is None:
            return super().forward(
                cls_score, label, weight, avg_factor, reduction_override, ignore_index, **kwargs
            )
        if len(self.weights) != cls_score.shape[1]:
            raise ValueError(
                f'class_weight has {len(self.weights)} entries, expected {cls_score.shape[1]}'
            )
        class_weight = self.weights.to(cls_score)
        reduction = reduction_override or self.reduction
        ignored = next(i for i in (ignore_index, self.ignore_index, -100) if i is not None)
        if self.use_sigmoid:
            loss = binary_cross_entropy(
                cls_score, label, weight, reduction='none', ignore_index=ignored
            )
            loss = weight_reduce_loss(loss * class_weight, None, reduction, avg_factor)
            return self.loss_weight * loss
        cls_score = mask_unseen(cls_score, class_weight)
        counted = label != ignored
        unseen = counted & (class_weight[label.masked_fill(~counted, 0)] < UNSEEN)
        label = label.masked_fill(unseen, ignored)
        return self.loss_weight * self.cls_criterion(
            cls_score,
            label,
            weight,
            class_weight=class_weight,
            reduction=reduction,
            avg_factor=avg_factor,
            ignore_index=self.ignore_index if ignore_index is None else ignore_index,
            avg_non_ignore=self.avg_non_ignore,
            **kwargs,
        )
