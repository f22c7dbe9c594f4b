"""From logits to labels in the frame of the annotation, a few classes at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

_VALUES = 2**27
"""How many values are resized at once: half a gigabyte."""


def label_map(logits: Tensor, size: Sequence[int], values: int = _VALUES) -> tuple[Tensor, Tensor]:
    """The best class of every pixel and how probable it is.

    The logits are resized bilinearly (corners not aligned), as mmseg does, then compared. With
    hundreds of classes and a large picture the resized logits do not fit into memory, so they are
    made for some classes at a time; the answer does not depend on how many.

    Args:
        logits: Shape (K, h, w).
        size: Height and width of the answer in pixels.
        values: How many resized values are held at once, at least one class's.

    Returns:
        Labels, int64 of shape (H, W), the first class of equal ones; and their softmax
        probabilities over the K classes, float32 of shape (H, W).
    """
    height, width = size
    step = max(1, values // (height * width))
    labels = logits.new_zeros(height, width, dtype=torch.int64)
    best = logits.new_full((height, width), -torch.inf, dtype=torch.float32)
    total = best.clone()
    for start in range(0, len(logits), step):
        part = resize_logits(logits[start : start + step], size)
        value, index = part.max(dim=0)
        better = value > best
        labels = torch.where(better, index + start, labels)
        best = torch.where(better, value, best)
        total = torch.logaddexp(total, part.logsumexp(dim=0))
    return labels, (best - total).exp()


def resize_logits(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear resize of logits (K, h, w) to (K, H, W), in float32."""
    return F.interpolate(logits[None].float(), tuple(size), mode='bilinear', align_corners=False)[0]


def as_annotated(logits: Tensor, meta: Mapping) -> Tensor:
    """Undo what a test pipeline did to an image, but for its resizing.

    Args:
        logits: Shape (K, H, W).
        meta: mmseg's metainfo: `padding_size` (left, right, top, bottom), `flip`,
            `flip_direction`.

    Returns:
        The logits without padding and unflipped.
    """
    padding = meta.get('img_padding_size', meta.get('padding_size')) or (0, 0, 0, 0)
    left, right, top, bottom = padding
    height, width = logits.shape[-2:]
    logits = logits[:, top : height - bottom, left : width - right]
    if meta.get('flip'):
        logits = logits.flip(2 if meta.get('flip_direction') == 'horizontal' else 1)
    return logits
