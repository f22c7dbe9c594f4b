"""Upsampling decoder of CAT-Seg: from aggregated cost to one logit a class at finer steps."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


def group_norm(channels: int) -> nn.GroupNorm:
    """Group norm in groups of 16 channels; one group where there are fewer."""
    return nn.GroupNorm(max(1, channels // 16), channels)


class _Stage(nn.Module):
    """Doubles the grid: deconvolution, guidance beside it, two convolutions.

    The first convolution over features and guidance side by side is the sum of one for each: the
    guidance's share is computed once for all classes.
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
        """Maps (N * K, C, h, w) and guidance (N, G, 2h, 2w) to (N * K, C', 2h, 2w)."""
        own = self.first(self.up(maps)).unflatten(0, (len(guidance), -1))
        mixed = own + self.first_of_guidance(guidance)[:, None]
        return self.rest(mixed.flatten(0, 1))


class CATSegUpsampling(nn.Module):
    """Up-convolutions guided by earlier blocks of the tower (arXiv 2303.11797, section 3.5).

    The first of the guidance maps, which is the shallowest, guides the first and coarsest stage, as
    in the public code. Each is brought to its stage's grid by one deconvolution and then projected.

    Args:
        tower_width: Channels of a guidance map.
        channels: Width of the aggregated features, C.
        out_channels: Width after each stage.
        guidance_channels: Guidance channels of each stage, fewer than what comes in.
        inner_channels: Width of each guidance map between its deconvolution and its projection.

    Raises:
        ValueError: The three lists differ in length, or a guidance is too wide.
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
        lengths = [len(item) for item in (out_channels, guidance_channels, inner_channels)]
        if len(set(lengths)) > 1 or lengths[0] == 0:
            raise ValueError(
                'out_channels, guidance_channels and inner_channels have an entry a stage; got '
                f'{lengths[0]}, {lengths[1]} and {lengths[2]}'
            )
        self.guidance = nn.ModuleList()
        self.stages = nn.ModuleList()
        plan = zip(out_channels, guidance_channels, inner_channels, strict=True)
        for place, (width, guiding, inner) in enumerate(plan, start=1):
            if guiding >= channels:
                raise ValueError(
                    f'stage {place} takes {channels} channels, expected a narrower guidance, '
                    f'got {guiding}'
                )
            step = 2**place
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
        """The guidance of every stage, the same for all classes.

        Args:
            maps: Maps of the tower's blocks, ascending, one a stage, each (N, C_tower, h, w).

        Returns:
            For stage s a map (N, G_s, 2^s h, 2^s w).
        """
        return [project(level) for project, level in zip(self.guidance, maps, strict=True)]

    def forward(self, features: Tensor, guidance: Sequence[Tensor]) -> Tensor:
        """Decode each class's features for itself.

        Args:
            features: Shape (N, K, h, w, C).
            guidance: What `guide` gives.

        Returns:
            Logits, shape (N, K, 2^S h, 2^S w) after S stages.
        """
        maps = features.permute(0, 1, 4, 2, 3).flatten(0, 1)
        for stage, level in zip(self.stages, guidance, strict=True):
            maps = stage(maps, level)
        return self.predict(maps)[:, 0].unflatten(0, features.shape[:2])
