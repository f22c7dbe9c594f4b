"""Export the dense map of a tower as ONNX: pixels in, features of the joint space out.

One file per input size. With a fixed token grid the position tables of a ViT are constants of the
graph; otherwise the graph would need a bicubic resize and the RoPE computation. The batch size is
dynamic.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..vision_tower import VisionTower
from .onnx_file import open_onnx, write_onnx

TOLERANCE = 1e-3
"""Largest accepted difference of the unit features of a dense map."""


class DenseMap(nn.Module):
    """The dense map of a tower as a module with normalisation of the pixels.

    Args:
        tower: The tower; it is frozen.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, tower: VisionTower) -> None:
        super().__init__()
        tower.freeze()
        self.tower = tower
        self.register_buffer('mean', torch.tensor(tower.mean).view(1, 3, 1, 1))
        self.register_buffer('std', torch.tensor(tower.std).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """RGB in 0-1, shape (N, 3, H, W), to the features of `encode_dense`, shape (N, D, h, w)."""
        return self.tower.encode_dense((pixels - self.mean) / self.std)


def export_onnx(tower: VisionTower, file: Path, size: tuple[int, int]) -> Path:
    """Write the dense map for inputs of one size.

    The graph has the input ``pixels``, RGB in 0-1 of shape (N, 3, H, W), not normalised, and the
    output ``dense``, unit features of shape (N, D, h, w).

    Args:
        tower: The tower.
        file: Output ``.onnx`` file (written atomically).
        size: (H, W) in pixels, multiples of the tower's ``patch_size``.

    Returns:
        ``file``.

    Raises:
        ValueError: The size is not a multiple of ``patch_size``.
    """
    height, width = size
    if height % tower.patch_size or width % tower.patch_size:
        raise ValueError(
            f'{file}: size {height} x {width} is not a multiple of the patch size '
            f'{tower.patch_size}'
        )
    return write_onnx(
        DenseMap(tower),
        {'pixels': torch.zeros(2, 3, height, width)},
        ['dense'],
        file,
        axes={'pixels': {0: 'N'}, 'dense': {0: 'N'}},
    )


def compare_onnx(tower: VisionTower, file: Path, size: tuple[int, int]) -> float:
    """Largest difference between the tower and its ONNX file, on one image of noise.

    Args:
        tower: The tower.
        file: ONNX file of ``export_onnx``.
        size: (H, W) of the file's input.

    Raises:
        ModuleNotFoundError: onnxruntime is not installed.
    """
    pixels = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    (found,) = open_onnx(file).run(None, {'pixels': pixels.numpy()})
    with torch.no_grad():
        expected = DenseMap(tower)(pixels)
    return float(np.abs(found - expected.numpy()).max())
