"""Spatial aggregation of CAT-Seg: a Swin block per class map, guided by the image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Pair = tuple[int, int]


def fit_windows(grid: Pair, window: int, shifted: bool) -> tuple[Pair, Pair]:
    """Size and shift of the windows on a grid.

    Args:
        grid: (h, w) tokens.
        window: Nominal window side in tokens.
        shifted: Whether the windows are shifted by half their side.

    Returns:
        (rows, columns) of a window, at most those of the grid, and the (down, right) shift, which
        is 0 along an axis with a single window.
    """
    rows, columns = (min(window, side) for side in grid)
    if not shifted:
        return (rows, columns), (0, 0)
    down, right = (
        part // 2 if part < side else 0 for part, side in zip((rows, columns), grid, strict=True)
    )
    return (rows, columns), (down, right)


def split_windows(maps: Tensor, window: Pair, shift: Pair = (0, 0)) -> Tensor:
    """Cut maps into windows; zero padding after the last row and column.

    Args:
        maps: Shape (B, h, w, C).
        window: (rows, columns) of a window.
        shift: (down, right) shift of the windows in tokens; cyclic.

    Returns:
        Windows row by row, shape (B, windows, rows * columns, C).
    """
    batch, height, width, channels = maps.shape
    maps = F.pad(maps, (0, 0, 0, -width % window[1], 0, -height % window[0]))
    maps = maps.roll((-shift[0], -shift[1]), dims=(1, 2))
    maps = maps.unflatten(2, (-1, window[1])).unflatten(1, (-1, window[0]))
    return maps.transpose(2, 3).reshape(batch, -1, window[0] * window[1], channels)


def join_windows(windows: Tensor, grid: Pair, window: Pair, shift: Pair = (0, 0)) -> Tensor:
    """Inverse of `split_windows`.

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
    """Attention mask of windows.

    Masked are pairs of tokens from opposite sides of the map, which the cyclic shift puts into one
    window, and pairs of a token and padding.

    Args:
        grid: (h, w) of the maps.
        window: As in `split_windows`.
        shift: As in `split_windows`.
        device: Device of the mask.

    Returns:
        Bool, True where a token attends, shape (windows, L, L) with L tokens per window; None if
        nothing is masked.
    """
    if shift == (0, 0) and not (grid[0] % window[0] or grid[1] % window[1]):
        return None
    labels = []
    for side, part, moved in zip(grid, window, shift, strict=True):
        label = torch.arange(side + -side % part, device=device)
        # 2: padding. 1: tokens that the cyclic shift moves from the start to the end.
        labels.append(torch.where(label >= side, 2, (label < moved).long()))
    region = labels[0][:, None] * 3 + labels[1]
    padding = (labels[0] == 2)[:, None] | (labels[1] == 2)
    region = region.masked_fill(padding, -1)
    region = split_windows(region[None, :, :, None], window, shift)[0, :, :, 0]
    return region[:, :, None] == region[:, None]


class CATSegSpatial(nn.Module):
    """One Swin block without position bias (arXiv 2303.11797, section 3.3).

    Queries and keys are computed from the class features and the image guidance, values from the
    class features only. The linear layer over their concatenation is split into a sum of two
    layers, so that the part of the image is computed once for all classes.

    Args:
        channels: Width of the features, C; divisible by `heads`.
        guidance_channels: Width of the image guidance, G.
        heads: Attention heads.
        window: Window side in tokens.
        shifted: Whether the windows are shifted by half their side.
        mlp_ratio: Inner width of the MLP divided by C.
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
        """Window attention and MLP on each class map separately.

        Args:
            features: Shape (N, K, h, w, C).
            guidance: Image guidance, shape (N, h, w, G).

        Returns:
            Shape (N, K, h, w, C).
        """
        features = features + self.attend(self.norm_attention(features), guidance)
        return features + self.mlp(self.norm_mlp(features))

    def attend(self, features: Tensor, guidance: Tensor) -> Tensor:
        """Attention within windows; shapes as in `forward`."""
        classes, height, width = features.shape[1:4]
        grid = (height, width)
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
        """(B, windows, L, C) -> (B * windows, heads, L, C / heads)."""
        return windows.flatten(0, 1).unflatten(-1, (self.heads, -1)).transpose(1, 2)
