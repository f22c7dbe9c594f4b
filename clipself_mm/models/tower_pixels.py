"""Input pixels of a tower: check of the normalisation, padding."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from clipself_mm.clip import VisionTower


def check_normalisation(preprocessor: nn.Module, tower: VisionTower, max_value: float) -> None:
    """Check that a preprocessor normalises as the tower was trained.

    Args:
        preprocessor: Data preprocessor of the model, with `mean` and `std`.
        tower: The tower that gets its output.
        max_value: Highest pixel value in the units of `mean` and `std`: 1, or 255 as in mm.

    Raises:
        ValueError: Mean or standard deviation are missing or not those of the tower.
    """
    for name in ('mean', 'std'):
        expected = [round(max_value * value, 5) for value in getattr(tower, name)]
        constants = getattr(preprocessor, name, None)
        given = constants if constants is None else constants.flatten().tolist()
        if given is None or any(
            abs(one - other) > 1e-4 * max_value for one, other in zip(given, expected, strict=True)
        ):
            shown = given and [round(value, 5) for value in given]
            raise ValueError(
                f'data_preprocessor normalises with {name}={shown}, but the tower was trained with '
                f'{expected}: set {name} of {type(preprocessor).__name__}'
            )


def round_up(side: int, divisor: int) -> int:
    """Round a side up to a multiple of a divisor."""
    return -(-side // divisor) * divisor


def pad_right_below(
    images: Sequence[Tensor], height: int, width: int, colour: Tensor | None = None
) -> Tensor:
    """Pad images to the right and below and stack them.

    Args:
        images: Tensors of shape (C, h, w) with h <= height and w <= width; at least one.
        height: Height of the batch in pixels.
        width: Width of the batch in pixels.
        colour: Value of the padding, shape (C, 1, 1); 0 by default.

    Returns:
        Shape (N, C, height, width), of the images' dtype.
    """
    first = images[0]
    batch = first.new_zeros(len(images), len(first), height, width)
    if colour is not None:
        batch += colour.to(first)
    for target, image in zip(batch, images, strict=True):
        h, w = image.shape[-2:]
        if h > height or w > width:
            raise ValueError(
                f'an image has {h} x {w} pixels, more than image_size {height} x {width}: set the '
                'same size in ResizeLongest and in the preprocessor'
            )
        target[:, :h, :w] = image
    return batch
