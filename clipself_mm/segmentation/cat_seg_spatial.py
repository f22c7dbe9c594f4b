"""Spatial aggregation of CAT-Seg: a Swin block over each class's map, guided by the image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Pair = tuple[int, int]


def fit_windows(grid: Pair, window: int, shifted: bool) -> tuple[Pair, Pair]:
    """Sides and shift of the windows on a grid.

    Args:
        grid: (h, w) tokens.
        window: Wanted side in tokens.
        shifted: Whether the windows are moved by half their side.

    Returns:
        (rows, columns) of a window, not more than the grid has, and its shift; an axis with one
        window only is not shifted.
    """
    rows, columns = (min(window, side) for side in grid)
    if not shifted:
        return (rows, columns), (0, 0)
    shift = tuple(
        part // 2 if part < side else 0 for part, side in zip((rows, columns), grid, strict=True)
    )
    return (rows, columns), shift


def split_windows(maps: Tensor, window: Pair, shift: Pair = (0, 0)) -> Tensor:
    """Cut maps into windows, zeros behind the last row and column.

    Args:
        maps: Shape (B, h, w, C).
        window: (rows, columns) of a window.
        shift: By how much the windows are moved down and right; what stands before the first
            window goes behind the last.

    Returns:
        Windows row by row, shape (B, windows, rows * columns, C).
    """
    batch, height, width, channels = maps.shape
    maps = F.pad(maps, (0, 0, 0, -width % window[1], 0, -height % window[0]))
    maps = maps.roll((-shift[0], -shift[1]), dims=(1, 2))
    maps = maps.unflatten(2, (-1, window[1])).unflatten(1, (-1, window[0]))
    return maps.transpose(2, 3).reshape(batch, -1, window[0] * window[1], channels)


def join_windows(windows: Tensor, grid: Pair, window: Pair, shift: Pair = (0, 0)) -> Tensor:
    """Put windows together again, the inverse of `split_windows`.

    Args:
        windows: Shape (B, windows, rows * columns, C).
        grid: (h, w) of the maps.
        window: As in `split_windows`.
        shift: As in `split_windows`.

    Returns:
        Shape (B, h, w, C).
    """
    across = -(-grid[1] // window[1])
    maps = windows.unflatten(2, window).unflatten(1, (-1, across))
    maps = maps.transpose(2, 3).flatten(3, 4).flatten(1, 2)
    return maps.roll(shift, dims=(1, 2))[:, : grid[0], : grid[1]]


def window_mask(
    grid: Pair, window: Pair, shift: Pair, device: torch.device | None = None
) -> Tensor | None:
    """Which tokens of a window may look at each other.

    Tokens that the shift brought together from opposite sides may not, nor a token and padding.

    Args:
        grid: (h, w) of the maps.
        window: As in `split_windows`.
        shift: As in `split_windows`.
        device: Where it is made.

    Returns:
        Booleans of shape (windows, L, L), L tokens a window; None where all may.
    """
    if shift == (0, 0) and not (grid[0] % window[0] or grid[1] % window[1]):
        return None
    labels = []
    for side, part, moved in zip(grid, window, shift, strict=True):
        label = torch.arange(side + -side % part, device=device)
        # 2 for padding, 1 for what the shift takes from the front to the back.
        labels.append(torch.where(label >= side, 2, (label < moved).long()))
    region = labels[0][:, None] * 3 + labels[1]
    padding = (labels[0] == 2)[:, None] | (labels[1] == 2)
    region = region.masked_fill(padding, -1)
    region = split_windows(region[None, :, :, None], window, shift)[0, :, :, 0]
    return region[:, :, None] == region[:, None]


class CATSegSpatial(nn.Module):
    """One Swin block without position bias (arXiv 2303.11797, section 3.3).

    Queries and keys see the class's features beside the image's, values the class's alone. A
    linear layer of the two side by side is the sum of a layer for each, so the image's share is
    computed once for all classes.

    Args:
        channels: Width of the features, C; divisible by `heads`.
        guidance_channels: Width of the image's guidance, G.
        heads: Attention heads.
        window: Side of a window in tokens.
        shifted: Whether the windows are shifted by half their side.
        mlp_ratio: Inner width of the MLP over C.
    """

    def __init__(
        self,
        channels: int,
        guidance_channels: int,
        heads: int = 4,
        window: int = 12,
        shifted: bool = False,
        mlp_ratio: int = 4,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.shifted = shifted
        self.guidance_norm = nn.LayerNorm(guidance_channels)
        self.guidance_query_key = nn.Linear(guidance_channels, 2 * channels, bias=False)
        self.norm_attention = nn.LayerNorm(channels)
        self.query_key_value = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.norm_mlp = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, mlp_ratio * channels),
            nn.GELU(),
            nn.Linear(mlp_ratio * channels, channels),
        )

    def forward(self, features: Tensor, guidance: Tensor) -> Tensor:
        """Refine every class's map, each for itself.

        Args:
            features: Shape (N, K, h, w, C).
            guidance: Shape (N, h, w, G).

        Returns:
            Shape (N, K, h, w, C).
        """
        features = features + self.attend(self.norm_attention(features), guidance)
        return features + self.mlp(self.norm_mlp(features))

    def attend(self, features: Tensor, guidance: Tensor) -> Tensor:
        """Attention inside the windows; shapes as in `forward`."""
        classes, grid = features.shape[1], tuple(features.shape[2:4])
        query, key, value = self.query_key_value(features).chunk(3, dim=-1)
        hint = self.guidance_query_key(self.guidance_norm(guidance))[:, None]
        hint_query, hint_key = hint.chunk(2, dim=-1)
        window, shift = fit_windows(grid, self.window, self.shifted)
        query, key, value = (
            self._heads(split_windows(part.flatten(0, 1), window, shift))
            for part in (query + hint_query, key + hint_key, value)
        )
        mask = window_mask(grid, window, shift, features.device)
        if mask is not None:
            mask = mask.repeat(len(query) // len(mask), 1, 1)[:, None]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        windows = mixed.transpose(1, 2).flatten(2).unflatten(0, (len(features) * classes, -1))
        maps = join_windows(windows, grid, window, shift)
        return self.out(maps.unflatten(0, (-1, classes)))

    def _heads(self, windows: Tensor) -> Tensor:
        """(B, windows, L, C) to (B * windows, heads, L, C / heads)."""
        return windows.flatten(0, 1).unflatten(-1, (self.heads, -1)).transpose(1, 2)
