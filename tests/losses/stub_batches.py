"""Dense batches of given maps, without a tower."""

from types import SimpleNamespace

import torch

from clipself_mm.clip import roi_pool
from clipself_mm.losses import DenseBatch

PATCH = 8
MEAN, STD = (0.5, 0.25, 0.0), (0.5, 1.0, 2.0)


def stub_batch(
    dense,
    reference=None,
    context=None,
    inside=None,
    teacher=None,
    student=None,
    boxes_px=(),
    targets=None,
    crops=None,
):
    """A batch of maps (N, D, h, w) with patches of 8 px.

    Its teacher, unless one is given, returns ``reference`` for any images.
    """
    count, _, height, width = dense.shape
    if inside is None:
        inside = torch.ones(count, height, width, dtype=torch.bool)
    if teacher is None:
        teacher = SimpleNamespace(encode_dense=lambda images: reference, mean=MEAN, std=STD)
    pooled = roi_pool(dense, boxes_px, PATCH) if len(boxes_px) else dense[:0].flatten(1)
    return DenseBatch(
        images=torch.zeros(count, 3, height * PATCH, width * PATCH),
        dense=dense,
        context=context,
        inside=inside,
        teacher=teacher,
        student=student or SimpleNamespace(patch_size=PATCH),
        boxes_px=list(boxes_px),
        pooled=pooled,
        targets=pooled[:0] if targets is None else targets,
        crops=crops,
    )


def random_map(seed, channels=6, size=(2, 3), count=2):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, *size, generator=generator)
