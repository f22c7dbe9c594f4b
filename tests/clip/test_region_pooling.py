"""Pooling against plain loops."""

import pytest
import torch

from clipself_mm.clip import mask_pool, roi_pool


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
