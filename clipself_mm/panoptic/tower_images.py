"""The picture a detector sees, brought to the size and the pixels of a CLIP tower."""

from __future__ import annotations

import torch.nn.functional as F
from mmengine.model import ImgDataPreprocessor
from torch import Tensor

from clipself_mm.clip import VisionTower
from clipself_mm.models import pad_right_below, round_up


class TowerImages:
    """Undoes a detector's normalisation, resizes, normalises as the tower was trained, pads.

    The image is resized bicubically with antialiasing, longest side to the size, as distillation
    does, and filled with black to whole patches, right and below.

    Args:
        preprocessor: Of the detector; images come as OpenCV reads them, BGR.
        tower: The tower.
        size: Longest side in pixels; None for the side of the tower's training images.

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
        """Bring one image into the tower's form.

        Args:
            image: Normalised by the preprocessor, without padding, shape (3, H, W).

        Returns:
            Shape (1, 3, H', W'), whole patches; and height and width without padding, in patches.
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
        sides = [round_up(side, self.patch_size) for side in new]
        padded = pad_right_below([(pixels - mean) / std], *sides, -mean / std)
        return padded, (new[0] / self.patch_size, new[1] / self.patch_size)

    def pixels(self, image: Tensor) -> Tensor:
        """What the preprocessor was given: RGB of 0-255, shape (3, H, W)."""
        pixels = image.float()
        # Private names in MMEngine, but the only place that knows.
        if self.preprocessor._enable_normalize:
            pixels = pixels * self.preprocessor.std.to(pixels)
            pixels = pixels + self.preprocessor.mean.to(pixels)
        return pixels if self.preprocessor._channel_conversion else pixels.flip(0)
