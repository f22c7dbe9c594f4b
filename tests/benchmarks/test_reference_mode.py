"""Reference mode computes what our towers compute: only then are their costs comparable."""

import pytest
import torch

from benchmarks.reference_mode import (
    as_reference,
    efficient_attention,
    written_out_attention,
)
from tests.clip.small_towers import images_of, small_tower


@pytest.mark.parametrize('kind', ['eva02', 'patch16', 'quickgelu'])
def test_embeddings_dense_maps_and_gradients_are_ours(kind):
    gradients = []
    ours = small_tower(kind).train()
    twin = as_reference(ours)
    images = images_of(ours, 3, 4)
    with torch.no_grad():
        torch.testing.assert_close(twin.encode_image(images), ours.encode_image(images))
    for tower in (ours, twin):
        tower.zero_grad()
        tower.unlock_blocks(2)
        dense = tower.encode_dense(images)
        dense[:, 0].square().sum().backward()
        gradients.append(
            {n: p.grad.clone() for n, p in tower.named_parameters() if p.requires_grad}
        )
    first, second = gradients
    assert first.keys() == second.keys()
    for name, gradient in first.items():
        torch.testing.assert_close(second[name], gradient, rtol=1e-3, atol=1e-6)


def test_other_architectures_are_refused():
    with pytest.raises(NotImplementedError, match='TimmViT'):
        as_reference(small_tower('siglip'))


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_both_attentions_of_the_reference_are_the_same(dtype):
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(2, 10, 32, generator=generator).to(dtype) for _ in range(3)]
    angles = torch.rand(9, 16, generator=generator)
    for tables in (None, (angles.sin(), angles.cos())):
        one, other = (
            attention(*parts, 2, tables)
            for attention in (written_out_attention, efficient_attention)
        )
        assert one.dtype == other.dtype == dtype
        close = dict(rtol=1e-5, atol=1e-6) if dtype == torch.float32 else dict(rtol=0, atol=0.02)
        torch.testing.assert_close(one, other, **close)
