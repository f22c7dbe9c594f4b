"""A 3 x 3 convolution with a third of the multiplications, for prediction on a CPU."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

TILE = 4
"""Cells a side that one tile gives; it reads TILE + 2."""

TILES_AT_ONCE = 128
"""So many tiles of 256 channels and their products stay near a core's cache."""

FEWEST_CELLS = 512
"""Below, the kernels' transform costs more than the products save."""


@cache
def transforms() -> tuple[Tensor, Tensor, Tensor]:
    """The transforms of F(4 x 4, 3 x 3) (Lavin and Gray, 2016), each the square of that of a row.

    Returns:
        Of a tile, shape (36, 36); of a kernel, shape (36, 9); back to the cells, shape (16, 36).
    """
    # A polynomial is given by its values at these points and by its leading coefficient.
    points = torch.tensor([0.0, 1.0, -1.0, 2.0, -2.0], dtype=torch.float64)

    def values(terms: int) -> Tensor:
        leading = F.one_hot(torch.tensor([terms - 1]), terms).double()
        return torch.cat([points[:, None] ** torch.arange(terms), leading])

    back, kernel = values(TILE).T, values(3)
    tile = torch.linalg.inv(values(TILE + 2)).T
    squares = [torch.kron(item, item).float() for item in (tile, kernel, back)]
    return squares[0].contiguous(), squares[1].contiguous(), squares[2].contiguous()


def winograd_conv(maps: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolution with 3 x 3 kernels, stride 1 and padding 1, by Winograd's minimal filtering.

    36 products a tile in place of 144; rounding is some ten times that of the direct way.

    Args:
        maps: Shape (N, C, H, W).
        weight: Shape (O, C, 3, 3).
        bias: Shape (O).

    Returns:
        Shape (N, O, H, W), in the memory format of the maps.
    """
    count, channels, height, width = maps.shape
    of_tile, of_kernel, back = (item.to(maps) for item in transforms())
    kernels = (of_kernel @ weight.flatten(2).permute(2, 1, 0).flatten(1)).view(36, channels, -1)
    rows, columns = -(-height // TILE), -(-width // TILE)
    result = maps.new_empty(count, height, width, len(weight))
    images = max(1, TILES_AT_ONCE // (rows * columns))
    step = max(1, TILES_AT_ONCE // (images * columns))
    edges = (1, TILE * columns + 1 - width, 1, TILE * rows + 1 - height)
    for first in range(0, count, images):
        padded = F.pad(maps[first : first + images], edges)
        tiles = padded.unfold(2, TILE + 2, TILE).unfold(3, TILE + 2, TILE)
        for top in range(0, rows, step):
            part = tiles[:, :, top : top + step].permute(4, 5, 0, 2, 3, 1)
            shape = part.shape[2:5]
            turned = (of_tile @ part.reshape(36, -1)).view(36, -1, channels)
            cells = back @ torch.bmm(turned, kernels).flatten(1)
            cells = cells.view(TILE, TILE, *shape, -1).permute(2, 3, 0, 4, 1, 5)
            cells = cells.flatten(3, 4).flatten(1, 2)
            place = result[first : first + images, TILE * top : TILE * (top + step)]
            place.copy_(cells[:, : place.shape[1], :width])
    if bias is not None:
        result += bias
    result = result.permute(0, 3, 1, 2)
    # mmcv's operations on a CPU read a tensor's memory as if it were contiguous.
    return result.contiguous() if maps.is_contiguous() else result


@MODELS.register_module()
class WinogradConv2d(nn.Conv2d):
    """`Conv2d` that predicts by `winograd_conv`: for `conv_cfg` of necks and heads.

    Where gradients are recorded, on another device than a CPU, in another dtype than float32, for
    another kernel than 3 x 3 with stride and padding 1, and for maps of few cells it is the
    ordinary convolution. Weights have its names. Arguments as in `Conv2d`.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Maps of shape (N, C, H, W), result of shape (N, O, H, W)."""
        usual = (
            torch.is_grad_enabled()
            or maps.device.type != 'cpu'
            or maps.dtype != torch.float32
            or maps.shape[0] * maps.shape[2] * maps.shape[3] < FEWEST_CELLS
        )
        if usual or not self._is_plain():
            return super().forward(maps)
        with torch.autocast('cpu', enabled=False):  # half would round the transforms
            return winograd_conv(maps, self.weight, self.bias)

    def _is_plain(self) -> bool:
        return (
            self.kernel_size == (3, 3)
            and self.stride == self.padding == self.dilation == (1, 1)
            and self.groups == 1
            and self.padding_mode == 'zeros'
        )
