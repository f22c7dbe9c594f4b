"""Class aggregation of CAT-Seg: attention between classes at every token, guided by text."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def linear_attention(
    query: Tensor, key: Tensor, value: Tensor, times: Tensor | None = None
) -> Tensor:
    """Linear attention (Katharopoulos et al. 2020, arXiv 2006.16236), float32.

    out_i = sum_j f(q_i) . f(k_j) v_j / sum_j f(q_i) . f(k_j), with f(x) = elu(x) + 1.

    Args:
        query: Shape (..., Q, d).
        key: Shape (..., L, d).
        value: Shape (..., L, e).
        times: Multiplicity of each key, shape (L); 1 by default.

    Returns:
        Shape (..., Q, e).
    """
    with torch.autocast(query.device.type, enabled=False):
        query, key = F.elu(query.float()) + 1, F.elu(key.float()) + 1
        # Dividing by the number of keys first keeps sums over many classes small.
        key = key / key.shape[-2]
        if times is not None:
            key = key * times[:, None]
        mixed = query @ (key.transpose(-1, -2) @ value.float())
        total = query @ key.sum(dim=-2).unsqueeze(-1)
        return mixed / total.clamp_min(1e-6)


class CATSegClasses(nn.Module):
    """A transformer block over classes, without position embeddings.

    The block runs on a pooled grid; its output is resized to the full grid and added to the
    features (arXiv 2303.11797, section 3.4). The output contains the pooled features, which thus
    count twice, as in the official implementation. Queries and keys are computed from features and
    text embedding, values from features only. No weight depends on the pooling, which saves time in
    training. If there are fewer classes than `padding`, copies of one learned class fill up the
    keys and values.

    Args:
        channels: Width of the features, C; divisible by `heads`.
        guidance_channels: Width of the text guidance, G.
        heads: Attention heads.
        pooling: Side in tokens of the average pooling in training; 1 for none.
        test_pooling: The same in eval mode.
        padding: Least number of classes in attention; 0 for no learned class.
        mlp_ratio: Inner width of the MLP divided by C.
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
        """Side in tokens of the average pooling in the current mode."""
        return self.train_pooling if self.training else self.test_pooling

    def forward(self, features: Tensor, guidance: Tensor) -> Tensor:
        """Attention over classes and MLP.

        Args:
            features: Shape (N, K, h, w, C).
            guidance: Text guidance, shape (N, K, G).

        Returns:
            Shape (N, K, h, w, C).
        """
        pooled = self.pool(features)
        pooled = pooled + self.attend(self.norm_attention(pooled), guidance)
        pooled = pooled + self.mlp(self.norm_mlp(pooled))
        height, width = features.shape[2:4]
        return features + self.unpool(pooled, (height, width))

    def attend(self, features: Tensor, guidance: Tensor) -> Tensor:
        """Attention over classes; features of shape (N, K, h, w, C) in and out."""
        parts = self._project(features, guidance[:, :, None, None])
        # (N, K, h, w, C) -> (N, h, w, heads, K, C / heads)
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
        """Queries and keys from features and guidance, values from features, (..., C) each."""
        query, key, value = self.query_key_value(features).chunk(3, dim=-1)
        hint_query, hint_key = self.guidance_query_key(guidance).chunk(2, dim=-1)
        return query + hint_query, key + hint_key, value

    def pool(self, features: Tensor) -> Tensor:
        """Average pooling over squares of tokens; padding does not count at the border."""
        if self.pooling == 1:
            return features
        maps = features.flatten(0, 1).permute(0, 3, 1, 2)
        maps = F.avg_pool2d(maps, self.pooling, ceil_mode=True, count_include_pad=False)
        return maps.permute(0, 2, 3, 1).unflatten(0, features.shape[:2])

    def unpool(self, features: Tensor, grid: tuple[int, int]) -> Tensor:
        """Bilinear resize of pooled features to the full grid (h, w)."""
        if self.pooling == 1:
            return features
        maps = features.flatten(0, 1).permute(0, 3, 1, 2)
        maps = F.interpolate(maps, size=grid, mode='bilinear', align_corners=True)
        return maps.permute(0, 2, 3, 1).unflatten(0, features.shape[:2])
