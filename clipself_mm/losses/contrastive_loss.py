"""CLIP's own loss: an image should point to its own caption, away from those of the others."""

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, get_rank, get_world_size
from mmengine.registry import MODELS
from torch import Tensor, nn


def symmetric_info_nce(images: Tensor, texts: Tensor, scale: Tensor | float) -> Tensor:
    """Mean of the cross entropies image to text and text to image.

    With ``s_ij = scale * cos(image_i, text_j)`` it is the mean over i of
    ``(-log softmax_j(s_ij)[i] - log softmax_j(s_ji)[i]) / 2``.

    Args:
        images: Image embeddings, shape (N, D).
        texts: Embeddings of their captions, shape (N, D).
        scale: What a cosine is multiplied by.

    Returns:
        Scalar; 0 for a single pair.

    Raises:
        ValueError: There are not as many texts as images.
    """
    if len(images) != len(texts):
        raise ValueError(f'expected a text for each image, got {len(texts)} for {len(images)}')
    with torch.autocast(images.device.type, enabled=False):
        images, texts = (F.normalize(item.float(), dim=-1) for item in (images, texts))
        logits = scale * images @ texts.T
        own = torch.arange(len(logits), device=logits.device)
        return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def gather_batch(features: Tensor) -> Tensor:
    """Features (N, D) of all processes in the order of their ranks; only one's own have a gradient.

    Every process must hold as many.
    """
    if get_world_size() == 1:
        return features
    parts = all_gather(features.detach().contiguous())
    parts[get_rank()] = features
    return torch.cat(parts)


@MODELS.register_module()
class ContrastiveLoss(nn.Module):
    """Symmetric InfoNCE over the batch of all processes.

    Every process computes the loss of the whole batch and, of its gradient, the part that comes
    through its own images. These parts add up to the gradient, but processes average theirs: each
    hands on its part times their number, so that they train as one process with the whole batch.

    Args:
        loss_weight: Factor on the loss.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, images: Tensor, texts: Tensor, scale: Tensor | float) -> Tensor:
        """Loss of N pairs a process; arguments and errors as in `symmetric_info_nce`."""
        loss = symmetric_info_nce(gather_batch(images), gather_batch(texts), scale)
        others = get_world_size() - 1
        return self.loss_weight * (loss + others * (loss - loss.detach()))
