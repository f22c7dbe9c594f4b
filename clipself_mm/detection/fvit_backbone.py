"""A CLIP ViT as backbone of any mmdet detector: block outputs at four scales."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from clipself_mm.clip import ViTTower

DTYPES = ('float32', 'bfloat16', 'float16')
"""Dtypes of a frozen tower."""


@MODELS.register_module()
class FViTBackbone(BaseModule):
    """Maps of selected ViT blocks, resized to the scales of a pyramid (paper, appendix A.3).

    The tower is frozen (eval mode, no gradient) and only the upsamplers train. With `frozen=False`
    its blocks train too, as in rows 4 and 5 of the paper's Table A3; their learning rate is set by
    `optim_wrapper.paramwise_cfg.custom_keys['backbone.tower']`.

    Args:
        tower: Config of the `VisionTower`.
        out_indices: Block of each map, 0-based; a block may be used for several scales.
        scales: Size of each map relative to the token grid: 4, 2, 1 or 0.5.
        norm_cfg: Norm between the two deconvolutions of scale 4; None for none.
        frozen: Whether the tower is frozen.
        dtype: Dtype of the weights and the computation of a frozen tower, also under autocast:
            'float32', 'bfloat16' or 'float16'. Its maps are converted to the dtype of the images.
            Checkpoints contain the tower in this dtype; checkpoints in float32 can be loaded.
        init_cfg: As in every mm module.

    Raises:
        ValueError: `out_indices` and `scales` differ in length, a scale or `dtype` is not
            supported, or a tower that is not frozen has a `dtype` other than float32.
        NotImplementedError: The tower is not a ViT.
    """

    def __init__(
        self,
        tower: dict,
        out_indices: Sequence[int] = (3, 5, 7, 11),
        scales: Sequence[float] = (4, 2, 1, 0.5),
        norm_cfg: dict | None = None,
        frozen: bool = True,
        dtype: str = 'float32',
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if dtype not in DTYPES:
            raise ValueError(f'dtype must be one of {", ".join(DTYPES)}, got {dtype!r}')
        if dtype != 'float32' and not frozen:
            raise ValueError(f'dtype {dtype} needs frozen=True, a tower that trains float32')
        if len(out_indices) != len(scales):
            raise ValueError(f'expected one out_index per scale, got {out_indices} for {scales}')
        self.tower = MODELS.build(tower)
        if not isinstance(self.tower, ViTTower):
            raise NotImplementedError(
                f'FViTBackbone needs a ViT, got {type(self.tower).__name__}: use a CNN of mmdet '
                'for a backbone with several scales'
            )
        self.out_indices = tuple(out_indices)
        self.frozen = frozen
        self._resizers = []
        for number, scale in enumerate(scales, start=1):
            name = f'interpolate{number}'  # as in the official implementation
            self.add_module(name, build_resizer(scale, self.tower.width, norm_cfg))
            self._resizers.append(name)
        self.dtype = getattr(torch, dtype)
        if frozen:
            self.tower.freeze()
            self.tower.to(self.dtype)
        else:
            self.tower.unlock_blocks(None)

    def train(self, mode: bool = True) -> FViTBackbone:
        """Set the mode of the upsamplers; a frozen tower stays in eval mode."""
        super().train(mode)
        if self.frozen:
            self.tower.eval()
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps from fine to coarse.

        Args:
            images: Normalised, sides divisible by the patch size, shape (N, 3, H, W).

        Returns:
            One map per scale, shape (N, C, scale * h, scale * w).
        """
        return self.forward_with_dense(images, with_dense=False)[0]

    def forward_with_dense(
        self, images: Tensor, with_dense: bool = True
    ) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """The maps of `forward` and the dense CLIP map of the same pass.

        Args:
            images: As in `forward`.
            with_dense: Whether to compute the dense map.

        Returns:
            The maps, and the dense map of shape (N, D, h, w) or None. It is L2-normalised,
            except for `last_block` `qq` and `csa` (see `ViTTower`).
        """
        stages, dense = self.run_tower(images, with_dense)
        return self.resize(stages), dense

    def run_tower(
        self, images: Tensor, with_dense: bool = True
    ) -> tuple[list[Tensor], Tensor | None]:
        """Forward pass of the tower, in `dtype`; arguments as in `forward_with_dense`.

        Returns:
            Maps of the unique `out_indices` in ascending order, each of shape (N, C, h, w), and
            the dense map or None, all in the dtype of the images.
        """
        blocks = sorted(set(self.out_indices))
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            if self.dtype == torch.float32:
                return self.tower.stages(images, blocks, with_dense=with_dense)
            with torch.autocast(images.device.type, enabled=False):
                rounded = images.to(self.dtype)
                stages, dense = self.tower.stages(rounded, blocks, with_dense=with_dense)
            stages = [item.to(images.dtype) for item in stages]
            return stages, None if dense is None else dense.to(images.dtype)

    def resize(self, stages: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The maps of `forward` from the maps of `run_tower`."""
        map_of = dict(zip(sorted(set(self.out_indices)), stages, strict=True))
        return tuple(
            getattr(self, name)(map_of[block])
            for name, block in zip(self._resizers, self.out_indices, strict=True)
        )


def build_resizer(scale: float, width: int, norm_cfg: dict | None) -> nn.Module:
    """Module that resizes a map of the token grid to a scale (paper, appendix A.3).

    Args:
        scale: 4 (two deconvolutions around norm and GELU), 2 (one), 1 (identity) or 0.5 (max
            pooling).
        width: Channels C of the map.
        norm_cfg: Norm of scale 4; None for none.
    """
    if scale == 4:
        norm = build_norm_layer(norm_cfg, width)[1] if norm_cfg else nn.Identity()
        return nn.Sequential(_double(width), norm, nn.GELU(), _double(width))
    if scale == 2:
        return nn.Sequential(_double(width))
    if scale == 1:
        return nn.Identity()
    if scale == 0.5:
        return nn.MaxPool2d(kernel_size=2, stride=2)
    raise ValueError(f'scales must be 4, 2, 1 or 0.5, got {scale}')


def _double(width: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(width, width, kernel_size=2, stride=2)
