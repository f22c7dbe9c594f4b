"""Data preprocessor of the distillers: pads, stacks and normalises images and crops."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.logging import MessageHub
from mmengine.model import BaseDataPreprocessor
from mmengine.registry import MODELS
from torch import Tensor

from clipself_mm.clip import CLIP_MEAN, CLIP_STD, VisionTower
from clipself_mm.datasets import RegionSample
from clipself_mm.models import check_normalisation, cut_windows, pad_right_below, round_up


@MODELS.register_module()
class RegionPreprocessor(BaseDataPreprocessor):
    """Pads and normalises a batch of `PackRegions` samples and moves it to the device.

    Images are zero-padded to the right and below before normalisation, so padding becomes
    -mean / std, as in the official implementation. The crops of all images are concatenated
    without padding. With the backend `device` of `CropRegions` and `ResizeLongest` both are cut out
    of the source images here, on the device.

    Args:
        image_size: Side in pixels of the square that images are padded to. None pads to the
            largest height and width of the batch, rounded up to `pad_divisor`.
        pad_divisor: See `image_size`.
        mean: Mean per RGB channel, values in 0-1; CLIP's by default.
        std: Standard deviation per RGB channel, values in 0-1; CLIP's by default.
        student_sizes: Multi-scale training: the padded images are resized (bilinear) so that
            their longest side is one of these, chosen per iteration by (seed, iteration).
            None keeps the size. Ignored outside training.
        non_blocking: As in mmengine's `BaseDataPreprocessor`.
    """

    def __init__(
        self,
        image_size: int | None = None,
        pad_divisor: int = 1,
        mean: Sequence[float] = CLIP_MEAN,
        std: Sequence[float] = CLIP_STD,
        student_sizes: Sequence[int] | None = None,
        non_blocking: bool = False,
    ) -> None:
        super().__init__(non_blocking=non_blocking)
        if student_sizes is not None and not student_sizes:
            raise ValueError('student_sizes must be None or list at least one size, got none')
        self.image_size = image_size
        self.pad_divisor = pad_divisor
        self.student_sizes = tuple(student_sizes or ())
        for name, given in dict(mean=mean, std=std).items():
            # Also in a model on the meta device: `check_normalisation` reads the values.
            constants = torch.tensor(given, device='cpu').view(1, -1, 1, 1)
            self.register_buffer(name, constants, persistent=False)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Pad, stack and normalise.

        Args:
            data: Collated by `pseudo_collate`: `inputs.image`, a list of N uint8 tensors
                (3, h, w); `inputs.crops` (optional), a list of N uint8 tensors (R_i, 3, S, S);
                `inputs.image_window` and `inputs.crop_windows` (optional), lists of N tensors
                (see `PackRegions`); `data_samples`, a list of N `RegionSample`.
            training: Whether `student_sizes` applies.

        Returns:
            dict of `inputs`, with `images` (float32 of shape (N, 3, H, W)) and `crops` (float32 of
            shape (sum of R_i, 3, S, S), empty if none are given), and `data_samples`, all on the
            device.
        """
        data = self.cast_data(data)
        samples = data['data_samples']
        inputs = cut_windows(data['inputs'], samples)
        images = self.normalise(self.stack(inputs['image']))
        if training and self.student_sizes:
            images, samples = self.resize(images, samples)
        if 'crops' in inputs:
            crops = self.normalise(torch.cat(list(inputs['crops'])))
        else:
            crops = images.new_empty(0, 3, 1, 1)
        return dict(inputs=dict(images=images, crops=crops), data_samples=samples)

    def stack(self, images: Sequence[Tensor]) -> Tensor:
        """Pad images of shape (3, h, w) to one batch (N, 3, H, W)."""
        if self.image_size is not None:
            return pad_right_below(images, self.image_size, self.image_size)
        height, width = (
            round_up(max(image.shape[axis] for image in images), self.pad_divisor)
            for axis in (-2, -1)
        )
        return pad_right_below(images, height, width)

    def normalise(self, pixels: Tensor) -> Tensor:
        """Map uint8 values of shape (N, 3, H, W) to (value / 255 - mean) / std."""
        return pixels.float().div_(255).sub_(self.mean).div_(self.std)

    def resize(
        self, images: Tensor, samples: list[RegionSample]
    ) -> tuple[Tensor, list[RegionSample]]:
        """Resize the batch to the size of this iteration, one of `student_sizes`.

        Args:
            images: Normalised batch of shape (N, 3, H, W).
            samples: Samples on the device; their `boxes_px` and `scale` are updated.

        Returns:
            The resized batch and the samples.
        """
        hub = MessageHub.get_current_instance()
        seed, iteration = (int(hub.get_info(key, 0) or 0) for key in ('seed', 'iter'))
        choice = np.random.default_rng([seed, iteration]).integers(len(self.student_sizes))
        factor = self.student_sizes[choice] / max(images.shape[-2:])
        if factor == 1:
            return images, samples
        size = [max(round(side * factor), 1) for side in images.shape[-2:]]
        images = F.interpolate(images, size=size, mode='bilinear')
        for sample in samples:
            sample.regions.boxes_px = sample.regions.boxes_px * factor
            if 'scale' in sample:
                sample.set_metainfo(dict(scale=sample.scale * factor))
        return images, samples


def build_tower_for(preprocessor: BaseDataPreprocessor, tower: dict) -> VisionTower:
    """Build a tower and check that its preprocessor normalises as the tower was trained.

    Args:
        preprocessor: Preprocessor of the model; only a `RegionPreprocessor` is checked.
        tower: Config of a `VisionTower`.

    Raises:
        ValueError: Mean or standard deviation are not those of the tower.
    """
    built = MODELS.build(tower)
    if isinstance(preprocessor, RegionPreprocessor):
        check_normalisation(preprocessor, built, max_value=1)
    return built
