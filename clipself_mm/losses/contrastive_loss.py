"""CLIP's loss: symmetric InfoNCE between images and captions."""

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, get_rank, get_world_size
from mmengine.registry import MODELS
from torch import Tensor, nn


def symmetric_info_nce(images: Tensor, texts: Tensor, scale: Tensor | float) -> Tensor:
    """Mean of the image-to-text and text-to-image cross entropies.

    With ``s_ij = scale * cos(image_i, text_j)`` this is the mean over i of
    ``(-log softmax_j(s_ij)[i] - log softmax_j(s_ji)[i]) / 2``.

    Args:
        images: Image embeddings, shape (N, D).
        texts: Embeddings of their captions, shape (N, D).
        scale: Factor on the cosines.

    Returns:
        Scalar; 0 for a single pair.
    """
    if len(images) != len(texts):
        raise ValueError(
            f'expected one text per image, got {len(texts)} texts, {len(images)} images'
        )
    with torch.autocast(images.device.type, enabled=False):
        images, texts = (F.normalize(item.float(), dim=-1) for item in (images, texts))
        logits = scale * images @ texts.T
        target = torch.arange(len(logits), device=logits.device)
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def gather_batch(features: Tensor) -> Tensor:
    """Features (N, D) of all ranks, concatenated; only those of this rank have a gradient.

    N must be the same on all ranks.
    """
    if get_world_size() == 1:
        return features
    parts = all_gather(features.detach().contiguous())
    parts[get_rank()] = features
    return torch.cat(parts)


@MODELS.register_module()
class ContrastiveLoss(nn.Module):
    """Symmetric InfoNCE over the batch of all processes.

    Each process computes the loss of the whole batch; its gradient flows through its own images
    only. DDP averages gradients, so the local gradient is scaled by the world size. Training is
    then the same as in one process with the whole batch.

    Args:
        loss_weight: Factor on the loss.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, images: Tensor, texts: Tensor, scale: Tensor | float) -> Tensor:
        """Loss of N pairs per process; arguments as in `symmetric_info_nce`."""
        loss = symmetric_info_nce(gather_batch(images), gather_batch(texts), scale)
        others = get_world_size() - 1
        return self.loss_weight * (loss + others * (loss - loss.detach()))
