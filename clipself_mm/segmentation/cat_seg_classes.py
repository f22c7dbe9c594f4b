"""Class aggregation of CAT-Seg: at every token the classes attend to each other, guided by text."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def linear_attention(
    query: Tensor, key: Tensor, value: Tensor, times: Tensor | None = None
) -> Tensor:
    """Attention whose weights are products of elu + 1, linear in the number of tokens.

    Katharopoulos et al. 2020 (arXiv 2006.16236): out_i = sum_j f(q_i) . f(k_j) v_j over
    sum_j f(q_i) . f(k_j), f(x) = elu(x) + 1. In single precision.

    Args:
        query: Shape (..., Q, d).
        key: Shape (..., L, d).
        value: Shape (..., L, e).
        times: How often each key stands in the sum, shape (L); once by default.

    Returns:
        Shape (..., Q, e).
    """
    with torch.autocast(query.device.type, enabled=False):
        query, key = F.elu(query.float()) + 1, F.elu(key.float()) + 1
        # Divided first by their number: sums over many classes stay small.
        key = key / key.shape[-2]
        if times is not None:
            key = key * times[:, None]
        mixed = query @ (key.transpose(-1, -2) @ value.float())
        total = query @ key.sum(dim=-2).unsqueeze(-1)
        return mixed / total.clamp_min(1e-6)


class CATSegClasses(nn.Module):
    """A transformer block over classes, without positions: their order does not matter.

    Runs on a pooled grid, whose outcome is brought back to the full grid and added to the features
    (arXiv 2303.11797, section 3.4; the pooled features count twice, as in the public code). Queries
    and keys see the class's features beside its text embedding, values the features alone. No
    weight depends on the pooling: it saves time in training, prediction does without. Fewer classes
    than `padding` are filled up to it with a learned one, the same each time.

    Args:
        channels: Width of the features, C; divisible by `heads`.
        guidance_channels: Width of the text guidance, G.
        heads: Attention heads.
        pooling: Tokens a side that are averaged before, in training; 1 for none.
        test_pooling: The same in eval mode.
        padding: How many classes attention sees at least; 0 for no learned ones.
        mlp_ratio: Inner width of the MLP over C.
    """

    def __init__(
        self,
        channels: int,
        guidance_channels: int,
        heads: int = 4,
        pooling: int = 2,
        test_pooling: int = 1,
        padding: int = 256,
        mlp_ratio: int = 4,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.train_pooling = pooling
        self.test_pooling = test_pooling
        self.padding = padding
        if padding:
            self.filling = nn.Parameter(torch.zeros(channels))
            self.filling_guidance = nn.Parameter(torch.zeros(guidance_channels))
        self.guidance_query_key = nn.Linear(guidance_channels, 2 * channels, bias=False)
        self.norm_attention = nn.LayerNorm(channels)
        self.query_key_value = nn.Linear(channels, 3 * channels)
        self.norm_mlp = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, mlp_ratio * channels),
            nn.ReLU(),
            nn.Linear(mlp_ratio * channels, channels),
        )

    @property
    def pooling(self) -> int:
        """Tokens a side that are averaged in the present mode."""
        return self.train_pooling if self.training else self.test_pooling

    def forward(self, features: Tensor, guidance: Tensor) -> Tensor:
        """Let the classes of every place know of each other.

        Args:
            features: Shape (N, K, h, w, C).
            guidance: Shape (N, K, G).

        Returns:
            Shape (N, K, h, w, C).
        """
        pooled = self.pool(features)
        pooled = pooled + self.attend(self.norm_attention(pooled), guidance)
        pooled = pooled + self.mlp(self.norm_mlp(pooled))
        return features + self.spread(pooled, tuple(features.shape[2:4]))

    def attend(self, features: Tensor, guidance: Tensor) -> Tensor:
        """Attention over classes; features of shape (N, K, h, w, C) in and out."""
        parts = self._project(features, guidance[:, :, None, None])
        # (N, K, h, w, C) to (N, h, w, heads, K, C / heads)
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).permute(0, 2, 3, 4, 1, 5) for part in parts
        )
        times = None
        if self.padding:
            _, *filling = self._project(self.norm_attention(self.filling), self.filling_guidance)
            key, value = (
                torch.cat([part, fill.view(self.heads, 1, -1).expand_as(part[..., :1, :])], dim=-2)
                for part, fill in zip((key, value), filling, strict=True)
            )
            times = key.new_ones(key.shape[-2])
            times[-1] = max(0, self.padding - features.shape[1])
        mixed = linear_attention(query, key, value, times)
        return mixed.permute(0, 4, 1, 2, 3, 5).flatten(-2)

    def _project(self, features: Tensor, guidance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys of features and guidance, values of features, (..., C) each."""
        query, key, value = self.query_key_value(features).chunk(3, dim=-1)
        hint_query, hint_key = self.guidance_query_key(guidance).chunk(2, dim=-1)
        return query + hint_query, key + hint_key, value

    def pool(self, features: Tensor) -> Tensor:
        """Average over squares of tokens, those at the border over what there is of them."""
        if self.pooling == 1:
            return features
        maps = features.flatten(0, 1).permute(0, 3, 1, 2)
        maps = F.avg_pool2d(maps, self.pooling, ceil_mode=True, count_include_pad=False)
        return maps.permute(0, 2, 3, 1).unflatten(0, features.shape[:2])

    def spread(self, features: Tensor, grid: tuple[int, int]) -> Tensor:
        """Resize pooled features to the full grid, bilinear."""
        if self.pooling == 1:
            return features
        maps = features.flatten(0, 1).permute(0, 3, 1, 2)
        maps = F.interpolate(maps, size=grid, mode='bilinear', align_corners=True)
        return maps.permute(0, 2, 3, 1).unflatten(0, features.shape[:2])
