"""ViTDet's simple feature pyramid: all levels from the last map of a ViT."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from mmcv.cnn import ConvModule, build_norm_layer
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from .fvit_backbone import build_resizer


@MODELS.register_module()
class SimpleFPN(BaseModule):
    """Simple feature pyramid of ViTDet (Li et al., 2022), row 1 of the paper's Table A3.

    Each level resizes the map, then applies a 1 x 1 and a 3 x 3 convolution, both with norm and
    without activation. Additional levels subsample the previous level by 2. The input is that of
    `FViTBackbone(out_indices=(11,), scales=(1,))`, the token grid; the stride of a level is patch
    size / scale.

    ViTDet uses LayerNorm over channels, which neither mmcv nor mmdet registers. The default is BN,
    as in F-ViT; `dict(type='GN', num_groups=1)` is the closest norm without batch statistics.

    Args:
        in_channels: Channels C of the map.
        out_channels: Channels of each level.
        scales: Size of each convolved level relative to the map, from fine to coarse: 4 (reduced to
            C / 4 channels), 2 (C / 2), 1 or 0.5.
        num_outs: Number of levels; those after `scales` are subsampled.
        norm_cfg: Norm of the convolutions and of scale 4; None for none.
        init_cfg: As in every mm module.

    Raises:
        ValueError: There are fewer levels than scales, or a scale is not supported.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 256,
        scales: Sequence[float] = (4, 2, 1, 0.5),
        num_outs: int = 5,
        norm_cfg: dict | None = {'type': 'BN'},  # noqa: B006, read only
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if num_outs < len(scales):
            raise ValueError(f'num_outs is {num_outs}, expected at least the {len(scales)} scales')
        self.num_outs = num_outs
        self.levels = nn.ModuleList()
        for scale in scales:
            resizer, width = narrowing_resizer(scale, in_channels, norm_cfg)
            convs = (
                ConvModule(width, out_channels, 1, norm_cfg=norm_cfg, act_cfg=None),
                ConvModule(
                    out_channels, out_channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=None
                ),
            )
            self.levels.append(nn.Sequential(resizer, *convs))

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The pyramid, from fine to coarse.

        Args:
            maps: One map, shape (N, C, h, w).

        Returns:
            `num_outs` levels of shape (N, out_channels, scale * h, scale * w); additional levels
            have half the size of the previous level, rounded up.
        """
        if len(maps) != 1:
            raise ValueError(f'SimpleFPN needs one map of the backbone, got {len(maps)}')
        levels = [level(maps[0]) for level in self.levels]
        while len(levels) < self.num_outs:
            levels.append(F.max_pool2d(levels[-1], kernel_size=1, stride=2))
        return tuple(levels)


def narrowing_resizer(scale: float, width: int, norm_cfg: dict | None) -> tuple[nn.Module, int]:
    """Like `build_resizer`, but each upsampling by 2 halves the channels, as in ViTDet.

    Args:
        scale: 4 (two deconvolutions around norm and GELU), 2 (one), 1 (identity) or 0.5 (max
            pooling).
        width: Channels C of the map.
        norm_cfg: Norm of scale 4; None for none.

    Returns:
        The module and its output channels.
    """
    half, quarter = width // 2, width // 4
    if scale == 4:
        norm = build_norm_layer(norm_cfg, half)[1] if norm_cfg else nn.Identity()
        layers = (_double(width, half), norm, nn.GELU(), _double(half, quarter))
        return nn.Sequential(*layers), quarter
    if scale == 2:
        return _double(width, half), half
    return build_resizer(scale, width, None), width


def _double(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(in_channels, out_channels, kernel_size=2, stride=2)
