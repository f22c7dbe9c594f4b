"""A sample as the reference implementation's loader makes it, to measure ours against.

Pillow for every crop, floats normalised in the loader, images padded to the square there, and
always the largest number of crops, zeros where an image has fewer regions. It is written from the
recorded behaviour and gives, up to the padding, the same numbers as our default pipeline with
`RegionPreprocessor`, which is tested.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional

from clipself_mm.clip import CLIP_MEAN, CLIP_STD
from clipself_mm.datasets.transforms.crop_regions import whole_pixels
from clipself_mm.datasets.transforms.resize_backends import longest_side_size


def padded_tensor(picture: Image.Image, size: int, centred: bool) -> Tensor:
    """Resize, pad with black and normalise a picture.

    Args:
        picture: RGB picture.
        size: Side of the square in pixels.
        centred: Whether the picture stands in the middle, as a crop does, or at the top left.

    Returns:
        float32 of shape (3, size, size).
    """
    height, width = longest_side_size(picture.height, picture.width, size)
    picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (size - picture.width) // 2, (size - picture.height) // 2
    square = Image.new('RGB', (size, size))
    square.paste(picture, (left, top) if centred else (0, 0))
    return functional.normalize(functional.to_tensor(square), CLIP_MEAN, CLIP_STD)


def reference_image(picture: Image.Image, size: int) -> Tensor:
    """Return the student's image, float32 of shape (3, size, size)."""
    return padded_tensor(picture, size, centred=False)


def reference_crops(
    picture: Image.Image, crop_boxes_src: np.ndarray, crop_size: int, max_regions: int
) -> Tensor:
    """Cut the teacher's crops.

    Args:
        picture: RGB photo.
        crop_boxes_src: Boxes xyxy in pixels of the photo, shape (R, 4), R <= max_regions.
        crop_size: Side of a crop in pixels.
        max_regions: Number of crops returned.

    Returns:
        float32 of shape (max_regions, 3, crop_size, crop_size), zeros after the R-th.
    """
    crops = torch.zeros(max_regions, 3, crop_size, crop_size)
    for place, box_src in zip(crops, crop_boxes_src, strict=False):
        part = picture.crop(whole_pixels(box_src, picture.height, picture.width))
        place[:] = padded_tensor(part, crop_size, centred=True)
    return crops


class ReferenceLoader:
    """The steps of a sample, by the names of ours, and the batch.

    Args:
        sample_regions: Transform that draws the regions: the same ones as for our pipelines.
        size: Side of the student's image in pixels.
        crop_size: Side of a crop in pixels.
        max_regions: Crops per image that leave the loader.
    """

    def __init__(
        self, sample_regions: Callable[[dict], dict], size: int, crop_size: int, max_regions: int
    ) -> None:
        self.size, self.crop_size, self.max_regions = size, crop_size, max_regions
        self.steps = [
            ('LoadRGB', self.load),
            ('SampleRegions', sample_regions),
            ('CropRegions', self.crop),
            ('ResizeLongest', self.resize),
        ]

    def load(self, results: dict) -> dict:
        """Add `picture` and `ori_shape`."""
        picture = Image.open(results['img_path']).convert('RGB')
        return dict(results, picture=picture, ori_shape=(picture.height, picture.width))

    def crop(self, results: dict) -> dict:
        """Add `crops`."""
        boxes_src, count = results['crop_boxes_src'], self.max_regions
        crops = reference_crops(results['picture'], boxes_src, self.crop_size, count)
        return dict(results, crops=crops)

    def resize(self, results: dict) -> dict:
        """Add `image`."""
        return dict(results, image=reference_image(results['picture'], self.size))

    @staticmethod
    def collate(samples: list[dict]) -> list[Tensor]:
        """Stack images and crops as torch's default does."""
        return [torch.stack([sample[key] for sample in samples]) for key in ('image', 'crops')]
