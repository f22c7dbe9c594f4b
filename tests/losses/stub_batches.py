"""Dense batches of given maps, without a tower."""

from types import SimpleNamespace

import torch

from clipself_mm.losses import DenseBatch

MEAN, STD = (0.5, 0.25, 0.0), (0.5, 1.0, 2.0)


def stub_batch(dense, reference=None, context=None, inside=None):
    """A batch of maps (N, D, h, w) whose teacher returns ``reference`` for any images."""
    count, _, height, width = dense.shape
    if inside is None:
        inside = torch.ones(count, height, width, dtype=torch.bool)
    teacher = SimpleNamespace(encode_dense=lambda images: reference, mean=MEAN, std=STD)
    return DenseBatch(torch.zeros(count, 3, height, width), dense, context, inside, teacher)


def random_map(seed, channels=6, size=(2, 3), count=2):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, *size, generator=generator)
