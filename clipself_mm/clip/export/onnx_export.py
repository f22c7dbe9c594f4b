"""Writes the dense map of a tower as ONNX: pixels in, unit features of the joint space out.

One file a size. The position tables of a ViT are resized or rebuilt for each token grid; with the
grid fixed they become constants of the graph, which every runtime executes, instead of a bicubic
resize and a table of sines in it. The number of images stays free.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.onnx.utils import export

from clipself_mm.io.atomic_write import atomic_write

from ..vision_tower import VisionTower

OPSET = 17
"""The first with layer normalisation, the last that torch 2.1 writes."""
TOLERANCE = 1e-3
"""Largest difference of a dense map's unit features that passes for none."""


class DenseMap(nn.Module):
    """A tower as a function of pixels.

    Args:
        tower: The tower; it is frozen.
    """

    def __init__(self, tower: VisionTower) -> None:
        super().__init__()
        tower.freeze()
        self.tower = tower
        self.register_buffer('mean', torch.tensor(tower.mean).view(1, 3, 1, 1))
        self.register_buffer('std', torch.tensor(tower.std).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """RGB in 0-1, shape (N, 3, H, W), to unit features of shape (N, D, h, w)."""
        return self.tower.encode_dense((pixels - self.mean) / self.std)


def export_onnx(tower: VisionTower, file: Path, size: tuple[int, int]) -> Path:
    """Write the dense map for inputs of one size.

    The graph has the input ``pixels``, RGB in 0-1 of shape (N, 3, H, W), not normalised, and the
    output ``dense``, unit features of shape (N, D, h, w).

    Args:
        tower: The tower.
        file: ``.onnx`` file to write; replaced when the new one is complete.
        size: (H, W) in pixels, multiples of the tower's ``patch_size``.

    Returns:
        ``file``.

    Raises:
        ValueError: The size is no multiple of ``patch_size``.
    """
    height, width = size
    if height % tower.patch_size or width % tower.patch_size:
        raise ValueError(
            f'{file}: size {height} x {width} is no multiple of the patch size {tower.patch_size}'
        )
    with atomic_write(file) as part, torch.no_grad(), warnings.catch_warnings():
        # The tracer warns of every size that becomes a constant, which is what is wanted here.
        warnings.simplefilter('ignore')
        export(
            DenseMap(tower),
            (torch.zeros(2, 3, height, width),),
            str(part),
            input_names=['pixels'],
            output_names=['dense'],
            dynamic_axes={'pixels': {0: 'N'}, 'dense': {0: 'N'}},
            opset_version=OPSET,
        )
    return file


def compare_onnx(tower: VisionTower, file: Path, size: tuple[int, int]) -> float:
    """Largest difference between the tower and its ONNX file, on one image of noise.

    Args:
        tower: The tower.
        file: What ``export_onnx`` wrote.
        size: (H, W) of the file.

    Raises:
        ModuleNotFoundError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'{file} is written but not checked: that needs onnxruntime '
            '(pip install "clipself_mm[onnx]")'
        ) from error
    pixels = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(str(file), providers=['CPUExecutionProvider'])
    (found,) = session.run(None, {'pixels': pixels.numpy()})
    with torch.no_grad():
        expected = DenseMap(tower)(pixels)
    return float(np.abs(found - expected.numpy()).max())
