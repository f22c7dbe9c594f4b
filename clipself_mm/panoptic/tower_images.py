"""Conversion of a detector's input image to the input of a CLIP tower."""

from __future__ import annotations

import torch.nn.functional as F
from mmengine.model import ImgDataPreprocessor
from torch import Tensor

from clipself_mm.clip import VisionTower
from clipself_mm.models import pad_right_below, round_up


class TowerImages:
    """Undoes the detector's normalisation, resizes, normalises for the tower, pads.

    As in distillation, the longest side is resized to `size` (bicubic, antialiased), and the image
    is padded with black at the right and bottom to whole patches.

    Args:
        preprocessor: That of the detector; its input is BGR.
        tower: The tower.
        size: Longest side in pixels; None for the tower's training size.

    Raises:
        ValueError: The size is less than a patch.
    """

    def __init__(
        self, preprocessor: ImgDataPreprocessor, tower: VisionTower, size: int | None = None
    ) -> None:
        self.size = tower.image_size if size is None else size
        self.patch_size = tower.patch_size
        if self.size < self.patch_size:
            raise ValueError(f'tower_size {self.size} is less than a patch of {self.patch_size} px')
        self.preprocessor = preprocessor
        self.mean, self.std = tower.mean, tower.std

    def __call__(self, image: Tensor) -> tuple[Tensor, tuple[float, float]]:
        """Convert one image.

        Args:
            image: Normalised by the preprocessor, without padding, shape (3, H, W).

        Returns:
            Input of the tower, shape (1, 3, H', W'); (height, width) without padding in patches.
        """
        pixels = self.pixels(image)
        height, width = image.shape[1:]
        scale = self.size / max(height, width)
        new = max(1, round(scale * height)), max(1, round(scale * width))
        if new != (height, width):
            pixels = F.interpolate(
                pixels[None], new, mode='bicubic', align_corners=False, antialias=True
            )[0].clamp(0, 255)
        mean = 255 * pixels.new_tensor(self.mean).view(3, 1, 1)
        std = 255 * pixels.new_tensor(self.std).view(3, 1, 1)
        padded_height, padded_width = (round_up(side, self.patch_size) for side in new)
        padded = pad_right_below([(pixels - mean) / std], padded_height, padded_width, -mean / std)
        return padded, (new[0] / self.patch_size, new[1] / self.patch_size)

    def pixels(self, image: Tensor) -> Tensor:
        """Undo the preprocessor: RGB in 0-255, shape (3, H, W)."""
        pixels = image.float()
        # MMEngine has no public attributes for these.
        if self.preprocessor._enable_normalize:
            pixels = pixels * self.preprocessor.std.to(pixels)
            pixels = pixels + self.preprocessor.mean.to(pixels)
        return pixels if self.preprocessor._channel_conversion else pixels.flip(0)
