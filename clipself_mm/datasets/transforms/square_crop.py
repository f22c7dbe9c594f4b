"""A crop that says to which size the images are padded that are smaller."""

from __future__ import annotations

from mmdet.datasets.transforms import RandomCrop
from mmengine.registry import TRANSFORMS


@TRANSFORMS.register_module()
class SquareCrop(RandomCrop):
    """mmdet's `RandomCrop` to a square, the one that smaller images are padded to.

    Images that large-scale jitter made small train on the same square as the others (authors'
    release). `SquareDataPreprocessor` pads, after normalising, so that the padding is zero; it
    reads the side as `canvas`, which belongs into `meta_keys` of `PackDetInputs`.

    Args:
        crop_size: (side, side) in pixels.
        **kwargs: As in mmdet's `RandomCrop`, but for `crop_type`.

    Raises:
        ValueError: The crop is no square.
    """

    def __init__(self, crop_size: tuple[int, int], **kwargs: object) -> None:
        if len(set(crop_size)) != 1:
            raise ValueError(f'SquareCrop takes two equal sides, not crop_size={crop_size}')
        super().__init__(crop_size=tuple(crop_size), crop_type='absolute', **kwargs)

    def transform(self, results: dict) -> dict | None:
        """As mmdet's, with the side as `canvas`; None if there is no box left where one must be."""
        results = super().transform(results)
        return results and dict(results, canvas=self.crop_size[0])
