"""The pixels a tower is given: normalised as in its training, padded to whole patches."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from clipself_mm.clip import VisionTower


def check_normalisation(preprocessor: nn.Module, tower: VisionTower, white: float) -> None:
    """Make sure that a preprocessor normalises as the tower was trained.

    Args:
        preprocessor: A model's data preprocessor, with `mean` and `std`.
        tower: The tower it feeds.
        white: The highest pixel value in the units of `mean` and `std`: 1, or 255 as in mm's own.

    Raises:
        ValueError: Mean or standard deviation are not the tower's, or there are none.
    """
    for name in ('mean', 'std'):
        wanted = [round(white * value, 5) for value in getattr(tower, name)]
        constants = getattr(preprocessor, name, None)
        given = constants if constants is None else constants.flatten().tolist()
        if given is None or any(
            abs(one - other) > 1e-4 * white for one, other in zip(given, wanted, strict=True)
        ):
            shown = given and [round(value, 5) for value in given]
            raise ValueError(
                f'data_preprocessor normalises with {name}={shown}, but the tower was trained with '
                f'{wanted}: give {type(preprocessor).__name__} that {name}'
            )


def round_up(side: int, divisor: int) -> int:
    """The least multiple of a divisor that is not below a side."""
    return -(-side // divisor) * divisor


def pad_right_below(
    images: Sequence[Tensor], height: int, width: int, colour: Tensor | None = None
) -> Tensor:
    """Stack images, padded to the right and below.

    Args:
        images: Tensors of shape (C, h, w) with h <= height and w <= width; at least one.
        height: Height of the batch in pixels.
        width: Width of the batch in pixels.
        colour: What to pad with, shape (C, 1, 1); 0 by default.

    Returns:
        Tensor of shape (N, C, height, width) of the images' dtype.

    Raises:
        ValueError: An image is larger than the batch.
    """
    first = images[0]
    batch = first.new_zeros(len(images), len(first), height, width)
    if colour is not None:
        batch += colour.to(first)
    for place, image in zip(batch, images, strict=True):
        h, w = image.shape[-2:]
        if h > height or w > width:
            raise ValueError(
                f'an image of {h} x {w} pixels does not fit image_size {height} x {width}: '
                'ResizeLongest and the preprocessor must name the same size'
            )
        place[:, :h, :w] = image
    return batch
