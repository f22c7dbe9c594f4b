"""The parts of CAT-Seg against answers by hand and plain loops."""

import math

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip('mmseg')

from clipself_mm.segmentation.cat_seg_aggregator import CATSegAggregator
from clipself_mm.segmentation.cat_seg_classes import CATSegClasses, linear_attention
from clipself_mm.segmentation.cat_seg_cost import CATSegCost, cost_volume, select_classes
from clipself_mm.segmentation.cat_seg_spatial import (
    CATSegSpatial,
    fit_windows,
    join_windows,
    split_windows,
    window_mask,
)
from clipself_mm.segmentation.cat_seg_upsampling import CATSegUpsampling


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_cost_by_hand():
    dense = torch.tensor([[3.0, 0.0], [4.0, 2.0]])[None, :, None]  # tokens (3, 4) and (0, 2)
    text = torch.tensor([[[1.0, 0.0], [0.0, 5.0]], [[-1.0, 0.0], [3.0, 4.0]]])  # K = P = 2
    cost = cost_volume(dense, text)
    assert cost.shape == (1, 2, 2, 1, 2)  # (N, P, K, h, w)
    expected = [[[[0.6, 0.0]], [[-0.6, 0.0]]], [[[0.8, 1.0]], [[1.0, 0.8]]]]
    torch.testing.assert_close(cost[0], torch.tensor(expected))


def test_cost_with_classes_per_image():
    dense, text = torch.randn(2, 4, 3, 2), torch.randn(5, 3, 4)
    chosen = torch.tensor([[0, 2], [4, 1]])
    cost = cost_volume(dense, text[chosen])
    everything = cost_volume(dense, text)
    for image, classes in enumerate(chosen):
        torch.testing.assert_close(cost[image], everything[image][:, classes])


def test_select_classes_by_hand():
    # Class 2 fits the second token exactly, class 0 the first by .8, class 1 nothing.
    dense = torch.tensor([[3.0, 0.0], [4.0, -2.0]])[None, :, None]
    text = torch.tensor([[[0.0, 1.0]], [[-1.0, 0.0]], [[0.0, -1.0]]])
    assert select_classes(dense, text, 2).tolist() == [[0, 2]]
    assert select_classes(dense, text, 1).tolist() == [[2]]


def test_cost_embedding_is_independent_per_class():
    embed = CATSegCost(3, 8)
    cost = torch.randn(2, 3, 4, 5, 6)
    features = embed(cost)
    assert features.shape == (2, 4, 5, 6, 8)
    alone = F.conv2d(cost[1, :, 2][None], embed.embed.weight, embed.embed.bias, padding=3)
    torch.testing.assert_close(features[1, 2], alone[0].permute(1, 2, 0))


@pytest.mark.parametrize('grid', [(8, 8), (7, 5), (4, 9), (3, 12), (1, 1)])
@pytest.mark.parametrize('shifted', [False, True])
def test_windows_round_trip(grid, shifted):
    maps = torch.randn(2, *grid, 3)
    window, shift = fit_windows(grid, 4, shifted)
    windows = split_windows(maps, window, shift)
    assert windows.shape[2] == window[0] * window[1]
    assert torch.equal(join_windows(windows, grid, window, shift), maps)


def test_split_windows_by_hand():
    maps = torch.arange(1.0, 7.0).view(1, 2, 3, 1)
    windows = split_windows(maps, (2, 2))[0, :, :, 0]
    assert windows.tolist() == [[1, 2, 4, 5], [3, 0, 6, 0]]
    assert split_windows(torch.arange(4.0).view(1, 1, 4, 1), (1, 2), (0, 1)).flatten().tolist() == [
        1,
        2,
        3,
        0,
    ]


def test_window_shift():
    assert fit_windows((24, 24), 12, True) == ((12, 12), (6, 6))
    assert fit_windows((24, 24), 12, False) == ((12, 12), (0, 0))
    assert fit_windows((8, 24), 12, True) == ((8, 12), (0, 6))


def test_window_mask_by_hand():
    assert window_mask((24, 24), (12, 12), (0, 0)) is None
    shifted = window_mask((1, 4), (1, 2), (0, 1))  # windows (1, 2) and (3, 0)
    assert shifted.tolist() == [[[True, True], [True, True]], [[True, False], [False, True]]]
    padded = window_mask((1, 3), (1, 2), (0, 0))  # windows (0, 1) and (2, padding)
    assert padded.tolist() == [[[True, True], [True, True]], [[True, False], [False, True]]]


def window_of(place, part, shift):
    """Which window a row or column is in, counted without wrapping around."""
    return (place - shift) // part


@pytest.mark.parametrize('grid', [(4, 4), (5, 3), (2, 7)])
@pytest.mark.parametrize('shifted', [False, True])
def test_spatial_attention_equals_a_plain_loop(grid, shifted):
    channels, heads, hints = 8, 2, 6
    block = CATSegSpatial(channels, hints, heads, window=2, shifted=shifted)
    features, guidance = torch.randn(2, 3, *grid, channels), torch.randn(2, *grid, hints)
    window, shift = fit_windows(grid, 2, shifted)
    # Queries and keys are one linear layer of features and guidance side by side.
    weight, bias = block.query_key_value.weight, block.query_key_value.bias
    guiding = block.guidance_query_key.weight
    hint = F.layer_norm(guidance, (hints,), block.guidance_norm.weight, block.guidance_norm.bias)
    both = torch.cat([features, hint[:, None].expand(-1, 3, -1, -1, -1)], dim=-1)
    together = torch.cat([weight[: 2 * channels], guiding], dim=1)
    query, key = F.linear(both, together, bias[: 2 * channels]).chunk(2, dim=-1)
    value = F.linear(features, weight[2 * channels :], bias[2 * channels :])
    places = [(y, x) for y in range(grid[0]) for x in range(grid[1])]
    homes = {
        place: tuple(window_of(place[axis], window[axis], shift[axis]) for axis in (0, 1))
        for place in places
    }
    expected = torch.zeros_like(features)
    size = channels // heads
    for y, x in places:
        seen = [other for other in places if homes[other] == homes[y, x]]
        rows, columns = zip(*seen, strict=True)
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            keys, values = (item[:, :, rows, columns, part] for item in (key, value))
            weights = torch.einsum('nkc,nklc->nkl', query[:, :, y, x, part], keys)
            weights = (weights / math.sqrt(size)).softmax(-1)
            expected[:, :, y, x, part] = torch.einsum('nkl,nklc->nkc', weights, values)
    torch.testing.assert_close(block.attend(features, guidance), block.out(expected))


def test_spatial_aggregation_is_independent_per_class():
    block = CATSegSpatial(8, 6, heads=2, window=2, shifted=True)
    features, guidance = torch.randn(1, 3, 4, 4, 8), torch.randn(1, 4, 4, 6)
    torch.testing.assert_close(block(features, guidance)[:, 1:2], block(features[:, 1:2], guidance))


def test_linear_attention_equals_a_plain_loop():
    query, key, value = torch.randn(3, 4), torch.randn(5, 4), torch.randn(5, 2)
    expected = torch.zeros(3, 2)
    for i in range(3):
        weights = torch.stack([(F.elu(query[i]) + 1) @ (F.elu(key[j]) + 1) for j in range(5)])
        expected[i] = weights @ value / weights.sum()
    torch.testing.assert_close(linear_attention(query, key, value), expected)


def test_missing_classes_are_padded_with_a_learned_class():
    """Three classes and a padding of seven: as seven of which the last four are the learned one."""
    block = CATSegClasses(8, 6, heads=2, padding=7)
    torch.nn.init.normal_(block.filling)
    torch.nn.init.normal_(block.filling_guidance)
    plain = CATSegClasses(8, 6, heads=2, padding=0)
    plain.load_state_dict(block.state_dict(), strict=False)
    features, guidance = torch.randn(2, 3, 4, 5, 8), torch.randn(2, 3, 6)
    filled = torch.cat([features, block.filling.expand(2, 4, 4, 5, 8)], dim=1)
    hints = torch.cat([guidance, block.filling_guidance.expand(2, 4, 6)], dim=1)
    expected = plain.eval()(filled, hints)[:, :3]
    torch.testing.assert_close(block.eval()(features, guidance), expected)
    assert not torch.allclose(plain(features, guidance), expected, atol=1e-3)
    more = torch.randn(2, 9, 4, 5, 8), torch.randn(2, 9, 6)  # nothing is missing
    torch.testing.assert_close(block(*more), plain(*more))


def test_class_attention_is_independent_per_token():
    block = CATSegClasses(8, 6, heads=2, pooling=1)
    features, guidance = torch.randn(1, 5, 3, 4, 8), torch.randn(1, 5, 6)
    whole = block(features, guidance)
    torch.testing.assert_close(whole[:, :, 1:2, 2:3], block(features[:, :, 1:2, 2:3], guidance))


def test_classes_are_pooled_in_training_only():
    block = CATSegClasses(8, 6, heads=2)
    features, guidance = torch.randn(1, 5, 4, 6, 8), torch.randn(1, 5, 6)
    moved = features.clone()
    moved[:, :, 0, 0] += 1
    moved[:, :, 0, 1] -= 1  # the same mean of the first 2 x 2 places

    def change(mode):
        block.train(mode)
        return (block(moved, guidance) - moved) - (block(features, guidance) - features)

    torch.testing.assert_close(change(True), torch.zeros_like(features))
    assert change(False)[:, :, 0, :2].abs().min() > 1e-4
    assert change(False)[:, :, 1:].abs().max() < 1e-6


def test_class_pooling_by_hand():
    block = CATSegClasses(2, 2, heads=1, pooling=2)
    features = torch.tensor([[1.0, 3.0, 5.0], [1.0, 3.0, 7.0], [2.0, 4.0, 9.0]])
    pooled = block.pool(features[None, None, :, :, None].expand(1, 1, 3, 3, 2))
    assert pooled[0, 0, :, :, 0].tolist() == [[2.0, 6.0], [3.0, 9.0]]


def test_pooled_features_count_twice():
    """With nothing learned the block gives the features and, over them, their pooled ones."""
    block = CATSegClasses(8, 6, heads=2, pooling=2)
    for layer in (block.query_key_value, block.mlp[2]):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    columns = torch.tensor([1.0, 3.0, 7.0, 9.0])  # means 2 and 8, spread to 2, 4, 6, 8
    features = columns[:, None].expand(1, 3, 2, 4, 8)
    found = block(features, torch.randn(1, 3, 6))
    torch.testing.assert_close(found[0, 0, 0, :, 0], torch.tensor([3.0, 7.0, 13.0, 17.0]))
    assert torch.equal(block.eval()(features, torch.randn(1, 3, 6)), 2 * features)


def test_aggregation_is_equivariant_to_class_order():
    aggregator = CATSegAggregator(10, channels=8, guidance_channels=6, heads=2, window=4).eval()
    features, dense, text = (
        torch.randn(2, 5, 6, 7, 8),
        torch.randn(2, 10, 6, 7),
        torch.randn(2, 5, 10),
    )
    order = torch.tensor([3, 0, 4, 1, 2])
    one = aggregator(features, dense, text)[:, order]
    torch.testing.assert_close(aggregator(features[:, order], dense, text[:, order]), one)
    # The classes do see each other.
    fewer = aggregator(features[:, :4], dense, text[:, :4])
    assert not torch.allclose(fewer, aggregator(features, dense, text)[:, :4], atol=1e-4)


def test_shallowest_map_guides_the_first_stage():
    decoder = CATSegUpsampling(12, 16, (8, 4), (4, 2), (6, 6))
    shallow, deep = torch.randn(2, 12, 3, 5), torch.randn(2, 12, 3, 5)
    first, second = decoder.guide([shallow, deep])
    assert first.shape == (2, 4, 6, 10)
    assert second.shape == (2, 2, 12, 20)
    other = decoder.guide([shallow, torch.randn_like(deep)])
    assert torch.equal(other[0], first)
    assert not torch.equal(other[1], second)
    logits = decoder(torch.randn(2, 7, 3, 5, 16), [first, second])
    assert logits.shape == (2, 7, 12, 20)


def test_upsampling_stage_equals_convolution_of_the_concatenation():
    decoder = CATSegUpsampling(12, 16, (8,), (4,), (6,))
    stage = decoder.stages[0]
    maps, guidance = torch.randn(6, 16, 2, 3), torch.randn(2, 4, 4, 6)
    both = torch.cat([stage.up(maps), guidance.repeat_interleave(3, dim=0)], dim=1)
    weight = torch.cat([stage.first.weight, stage.first_of_guidance.weight], dim=1)
    expected = stage.rest(F.conv2d(both, weight, padding=1))
    torch.testing.assert_close(stage(maps, guidance), expected)


def test_upsampling_guidance_too_wide_raises():
    with pytest.raises(ValueError, match=r'\b1\b.*\b16\b.*\b16\b'):
        CATSegUpsampling(12, 16, (8,), (16,), (6,))
