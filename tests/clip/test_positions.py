"""Rotation of channel pairs, worked by hand."""

import torch
from timm.layers import apply_rot_embed_cat

from clipself_mm.clip.positions import apply_rope, rope_pairs, rope_table


def test_rope_of_90_degrees_maps_1_2_to_minus_2_1_and_keeps_the_prefix():
    quarter = rope_pairs(torch.ones(1, 4), torch.zeros(1, 4), prefix=1)
    features = torch.tensor(
        [[[[1.0, 2, 3, 4]], [[1.0, 2, 3, 4]]]]
    )  # (1 image, 2 tokens, 1 head, 4)
    still, turned = apply_rope(features, quarter)[0, :, 0]
    assert still.tolist() == [1, 2, 3, 4]
    assert turned.tolist() == [-2, 1, -4, 3]


def test_rope_and_its_gradient_equal_timm():
    torch.manual_seed(0)
    sine, cosine = rope_table((3, 5), 8)
    features = torch.randn(2, 16, 3, 8)
    weights = torch.randn(2, 16, 3, 8)
    ours, theirs = (features.clone().requires_grad_() for _ in range(2))
    found = apply_rope(ours, rope_pairs(sine, cosine, prefix=1))
    heads_first = theirs.transpose(1, 2)
    turned = apply_rot_embed_cat(heads_first[:, :, 1:], torch.cat([sine, cosine], dim=-1))
    expected = torch.cat([heads_first[:, :, :1], turned], dim=2).transpose(1, 2)
    torch.testing.assert_close(found, expected)
    assert found.is_contiguous()  # tokens before heads: nothing to copy after attention
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_rope_is_computed_in_float32_or_float64():
    rope = rope_pairs(*rope_table((4, 4), 8))
    features = torch.randn(1, 16, 2, 8)
    half = features.to(torch.bfloat16)
    assert apply_rope(half, rope).equal(apply_rope(half.float(), rope).to(torch.bfloat16))
    double = apply_rope(features.double(), rope)
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), apply_rope(features, rope))
