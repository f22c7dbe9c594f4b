"""A random square crop; smaller images are padded to its size later."""

from __future__ import annotations

from typing import Any

from mmdet.datasets.transforms import RandomCrop
from mmengine.registry import TRANSFORMS


@TRANSFORMS.register_module()
class SquareCrop(RandomCrop):
    """mmdet's `RandomCrop` to a square, to which smaller images are padded.

    Images that large-scale jitter made smaller train on the same square as the others (official
    implementation). Adds the side as `canvas`, which must be in `meta_keys` of `PackDetInputs`:
    `SquareDataPreprocessor` pads to it after normalising, so that the padding is zero.

    Args:
        crop_size: (side, side) in pixels.
        **kwargs: As in mmdet's `RandomCrop`, except `crop_type`.
    """

    def __init__(self, crop_size: tuple[int, int], **kwargs: Any) -> None:
        if len(set(crop_size)) != 1:
            raise ValueError(f'SquareCrop: expected crop_size with equal sides, got {crop_size}')
        super().__init__(crop_size=tuple(crop_size), crop_type='absolute', **kwargs)

    def transform(self, results: dict) -> dict | None:
        """Crop one sample; None if mmdet's `RandomCrop` rejects it (no box left)."""
        results = super().transform(results)
        return results and dict(results, canvas=self.crop_size[0])
