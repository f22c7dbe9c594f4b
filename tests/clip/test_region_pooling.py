"""Pooling against plain loops."""

import math

import pytest
import torch

from clipself_mm.clip import box_cover, mask_pool, roi_pool, similarity_pool


def bilinear(features, y, x):
    """Value of (D, h, w) at a point in token units, pixel centres at integers, edges clamped."""
    height, width = features.shape[1:]
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    dy, dx = y - top, x - left
    return (
        features[:, top, left] * (1 - dy) * (1 - dx)
        + features[:, top, right] * (1 - dy) * dx
        + features[:, bottom, left] * dy * (1 - dx)
        + features[:, bottom, right] * dy * dx
    )


def test_roi_pool_by_hand():
    torch.manual_seed(0)
    dense = torch.randn(2, 3, 4, 6)
    boxes = [torch.tensor([[8.0, 4, 40, 28]]), torch.tensor([[0.0, 0, 8, 8], [3, 5, 20, 9]])]
    pooled = roi_pool(dense, boxes, patch_size=8)
    expected = []
    for features, of_image in zip(dense, boxes, strict=True):
        for x0, y0, x1, y1 in (of_image / 8).tolist():
            rows, columns = (int(-(-(side) // 1)) for side in (y1 - y0, x1 - x0))
            points = [
                bilinear(
                    features,
                    y0 + (i + 0.5) * (y1 - y0) / rows - 0.5,
                    x0 + (j + 0.5) * (x1 - x0) / columns - 0.5,
                )
                for i in range(rows)
                for j in range(columns)
            ]
            expected.append(torch.stack(points).mean(0))
    torch.testing.assert_close(pooled, torch.stack(expected))


def test_mask_pool_by_hand():
    dense = torch.arange(16.0).view(2, 2, 2, 2)
    masks = [
        torch.tensor([[[1, 0], [0, 1]], [[0, 0], [0, 0]]]).bool(),
        torch.tensor([[[0.5, 0], [1.5, 0]]]),
    ]
    pooled = mask_pool(dense, masks)
    # First: tokens 0 and 3. Second: empty. Third: 0.25 of token 0 and 0.75 of token 2.
    expected = torch.tensor([[1.5, 5.5], [0, 0], [9.5, 13.5]])
    torch.testing.assert_close(pooled, expected)


def test_half_precision_pools_an_empty_mask_to_zero():
    pooled = mask_pool(torch.ones(1, 2, 2, 2).half(), [torch.zeros(1, 2, 2)])
    assert pooled.tolist() == [[0, 0]]


def test_mismatched_regions_raise():
    dense = torch.zeros(2, 3, 4, 4)
    with pytest.raises(ValueError, match=r'\b1\b.*\b2\b'):
        roi_pool(dense, [torch.zeros(1, 4)], 8)
    with pytest.raises(ValueError, match=r'\(3, 4\).*\(4, 4\)'):
        mask_pool(dense, [torch.zeros(1, 3, 4), torch.zeros(1, 4, 4)])


def covered_share(box, row, column, patch=8):
    """Share of a cell that a box covers."""
    x0, y0, x1, y1 = box
    width = min(x1, (column + 1) * patch) - max(x0, column * patch)
    height = min(y1, (row + 1) * patch) - max(y0, row * patch)
    return max(width, 0) * max(height, 0) / patch**2


def test_cover_by_hand():
    """Columns of the first box: half, whole, half; rows: whole, half. The second lies outside."""
    boxes = torch.tensor([[4.0, 0, 20, 12], [30, 0, 40, 16], [-8, -8, 99, 99]])
    expected = torch.tensor([[[0.5, 1, 0.5], [0.25, 0.5, 0.25]], [[0, 0, 0]] * 2, [[1, 1, 1]] * 2])
    torch.testing.assert_close(box_cover(boxes, (2, 3), 8), expected)
    assert box_cover(boxes[:0], (2, 3), 8).shape == (0, 2, 3)


BOXES = [
    torch.tensor([[4.0, 0, 20, 12], [8, 8, 24, 16]]),
    torch.zeros(0, 4),
    torch.tensor([[3.0, 3, 4, 4.5]]),
]


def test_similarity_pool_by_a_plain_loop():
    torch.manual_seed(0)
    dense, targets = torch.randn(3, 5, 2, 3), torch.randn(3, 5)
    expected, region = [], 0
    for features, boxes in zip(dense, BOXES, strict=True):
        for box in boxes.tolist():
            total, weights = torch.zeros(5), 0
            for row in range(2):
                for column in range(3):
                    token, target = features[:, row, column], targets[region]
                    cosine = token @ target / token.norm() / target.norm()
                    weight = covered_share(box, row, column) * math.exp(cosine / 0.3)
                    total, weights = total + weight * token, weights + weight
            expected.append(total / weights)
            region += 1
    pooled = similarity_pool(dense, BOXES, targets, 8, 0.3)
    torch.testing.assert_close(pooled, torch.stack(expected))
    with torch.autocast('cpu', torch.bfloat16):
        assert similarity_pool(dense, BOXES, targets, 8, 0.3).equal(pooled)


def test_the_weights_of_similarity_pool_have_no_gradient():
    """A feature is then linear in its tokens: the gradient of a sum of channels is a weight."""
    dense = torch.randn(3, 5, 2, 3, requires_grad=True)
    targets = torch.randn(3, 5, requires_grad=True)
    similarity_pool(dense, BOXES, targets, 8, 0.3)[0].sum().backward()
    assert targets.grad is None
    grad = dense.grad[0]
    torch.testing.assert_close(grad, grad[:1].expand_as(grad))
    assert grad[0].sum().item() == pytest.approx(1)


def test_similarity_pool_of_a_box_outside_and_of_no_box():
    dense = torch.randn(1, 5, 2, 3, requires_grad=True)
    outside = similarity_pool(dense, [torch.tensor([[90.0, 0, 99, 9]])], torch.ones(1, 5), 8, 0.3)
    torch.testing.assert_close(outside, dense.mean(dim=(2, 3)))
    none = similarity_pool(dense, [torch.zeros(0, 4)], torch.zeros(0, 5), 8, 0.3)
    assert none.shape == (0, 5)
    none.sum().backward()
    assert not dense.grad.any()
