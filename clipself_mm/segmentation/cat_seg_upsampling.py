"""Upsampling decoder of CAT-Seg: from aggregated cost to logits at a higher resolution."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


def group_norm(channels: int) -> nn.GroupNorm:
    """Group norm with 16 channels per group, at least one group."""
    return nn.GroupNorm(max(1, channels // 16), channels)


class _Stage(nn.Module):
    """Doubles the grid: deconvolution, concatenated guidance, two convolutions.

    The first convolution over the concatenation is split into a sum of two, so that the part of the
    guidance is computed once for all classes.
    """

    def __init__(self, channels: int, out_channels: int, guidance_channels: int) -> None:
        super().__init__()
        kept = channels - guidance_channels
        self.up = nn.ConvTranspose2d(channels, kept, kernel_size=2, stride=2)
        self.first = nn.Conv2d(kept, out_channels, kernel_size=3, padding=1, bias=False)
        self.first_of_guidance = nn.Conv2d(
            guidance_channels, out_channels, kernel_size=3, padding=1, bias=False
        )
        self.rest = nn.Sequential(
            group_norm(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False),
            group_norm(out_channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, maps: Tensor, guidance: Tensor) -> Tensor:
        """Maps (N * K, C, h, w) and guidance (N, G, 2h, 2w) -> (N * K, C', 2h, 2w)."""
        features = self.first(self.up(maps)).unflatten(0, (len(guidance), -1))
        mixed = features + self.first_of_guidance(guidance)[:, None]
        return self.rest(mixed.flatten(0, 1))


class CATSegUpsampling(nn.Module):
    """Upsampling stages guided by earlier blocks of the tower (arXiv 2303.11797, section 3.5).

    The shallowest guidance map guides the first, coarsest stage, as in the official implementation.
    Each map is resized to the grid of its stage by a deconvolution and then projected.

    Args:
        tower_width: Channels of a guidance map.
        channels: Width of the aggregated features, C.
        out_channels: Width after each of the S stages.
        guidance_channels: Guidance channels per stage, fewer than the input channels of the stage.
        inner_channels: Width of each guidance map between deconvolution and projection.

    Raises:
        ValueError: The three sequences differ in length, or a guidance is too wide.
    """

    def __init__(
        self,
        tower_width: int,
        channels: int = 128,
        out_channels: Sequence[int] = (64, 32),
        guidance_channels: Sequence[int] = (32, 16),
        inner_channels: Sequence[int] = (256, 128),
    ) -> None:
        super().__init__()
        self.guidance = nn.ModuleList()
        self.stages = nn.ModuleList()
        widths = zip(out_channels, guidance_channels, inner_channels, strict=True)
        for number, (width, guiding, inner) in enumerate(widths, start=1):
            if guiding >= channels:
                raise ValueError(
                    f'guidance_channels of upsampling stage {number}: expected fewer than the '
                    f'{channels} input channels of the stage, got {guiding}'
                )
            step = 2**number
            self.guidance.append(
                nn.Sequential(
                    nn.ConvTranspose2d(tower_width, inner, kernel_size=step, stride=step),
                    nn.Conv2d(inner, guiding, kernel_size=3, padding=1),
                    nn.ReLU(inplace=True),
                )
            )
            self.stages.append(_Stage(channels, width, guiding))
            channels = width
        self.predict = nn.Conv2d(channels, 1, kernel_size=3, padding=1)

    def guide(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Project the guidance maps; the result is shared by all classes.

        Args:
            maps: Maps of ascending blocks, one per stage, each (N, C_tower, h, w).

        Returns:
            For stage s a map (N, G_s, 2^s h, 2^s w).
        """
        return [project(level) for project, level in zip(self.guidance, maps, strict=True)]

    def forward(self, features: Tensor, guidance: Sequence[Tensor]) -> Tensor:
        """Decode the features of each class separately.

        Args:
            features: Shape (N, K, h, w, C).
            guidance: From `guide`.

        Returns:
            Logits, shape (N, K, 2^S h, 2^S w) after S stages.
        """
        maps = features.permute(0, 1, 4, 2, 3).flatten(0, 1)
        for stage, level in zip(self.stages, guidance, strict=True):
            maps = stage(maps, level)
        return self.predict(maps)[:, 0].unflatten(0, features.shape[:2])
