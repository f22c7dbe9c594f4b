"""From logits to labels in the frame of the annotation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

_VALUES = 2**27
"""Number of resized values held at once: 0.5 GB in float32."""


def upsample_argmax(
    logits: Tensor, size: Sequence[int], values: int = _VALUES
) -> tuple[Tensor, Tensor]:
    """Label of every pixel and its probability.

    The logits are resized bilinearly (`align_corners=False`), as in mmseg. Classes are processed in
    chunks, because the resized logits of hundreds of classes do not fit into memory. The result
    does not depend on the chunk size.

    Args:
        logits: Shape (K, h, w).
        size: (height, width) of the result in pixels.
        values: Number of resized values held at once; a chunk has at least one class.

    Returns:
        Labels, int64 of shape (H, W), ties go to the lowest label; and their softmax probabilities
        over the K classes, float32 of shape (H, W).
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
    """Bilinear resize of logits (K, h, w) to (K, H, W), float32."""
    return F.interpolate(logits[None].float(), tuple(size), mode='bilinear', align_corners=False)[0]


def undo_padding_and_flip(logits: Tensor, meta: Mapping) -> Tensor:
    """Undo padding and flip of the test pipeline, but not its resizing.

    Args:
        logits: Shape (K, H, W).
        meta: mmseg's metainfo: `img_padding_size` or `padding_size` (left, right, top, bottom),
            `flip`, `flip_direction`.

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
