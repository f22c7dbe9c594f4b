"""mmdet's data preprocessor with padding to squares."""

from __future__ import annotations

from collections.abc import Iterable

from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.structures import DetDataSample
from mmengine.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class SquareDataPreprocessor(DetDataPreprocessor):
    """`DetDataPreprocessor` that pads a batch to a square, as the official implementation does.

    The side is that of `SquareCrop` in the training pipeline, or the longest side in the batch if
    there is no `SquareCrop`. The image scale is therefore set in the pipeline only.

    Args:
        pad_size_divisor: The side is rounded up to a multiple of it. Twice the tower's patch size
            gives integer sizes for all levels of the pyramid.
        **kwargs: As in mmdet's `DetDataPreprocessor`.
    """

    def __init__(self, pad_size_divisor: int = 1, **kwargs: object) -> None:
        super().__init__(pad_size_divisor=pad_size_divisor, **kwargs)
        self.side_divisor = pad_size_divisor

    def forward(self, data: dict, training: bool = False) -> dict:
        """As in mmdet, with `pad_size_divisor` set to the side of the square.

        Args:
            data: `inputs`, images of shape (3, h_i, w_i), and optionally `data_samples`.
            training: As in mmdet.

        Returns:
            `inputs` of shape (N, 3, side, side) and `data_samples`.

        Raises:
            ValueError: As in `check_images` and `square_side`.
        """
        if self._enable_normalize:
            check_images(data['inputs'], training)
        side = square_side(data['inputs'], data.get('data_samples') or ())
        self.pad_size_divisor = -(-side // self.side_divisor) * self.side_divisor
        return super().forward(data, training)


def check_images(images: Iterable[Tensor], training: bool = False) -> None:
    """Check that images have three channels and pixels in 0-255.

    Values are read of floats only: images of our configs are uint8. An image all in 0-1 could be a
    dark one; in training all of a batch must be.

    Args:
        images: Images of a batch.
        training: Whether this is a training step.

    Raises:
        ValueError: An image has another shape, or its values another range.
    """
    peaks = []
    for image in images:
        if image.ndim != 3 or len(image) != 3:
            raise ValueError(
                f'expected images of shape (3, H, W), got {tuple(image.shape)}: repeat gray to '
                'three channels, drop an alpha channel'
            )
        if image.is_floating_point():
            peaks.append(float(image.max()))
    wrong = [peak for peak in peaks if not (peak <= 0 or 1 < peak < _NO_8_BIT)]
    if wrong and (not training or len(wrong) == len(peaks)):
        raise ValueError(
            f'expected pixels in 0-255, got floats with a maximum of {wrong[0]:.4g}: multiply '
            'those in 0-1 by 255, divide those of 16 bits by 257; the model normalises itself'
        )


_NO_8_BIT = 512.0
"""More than an interpolation of 8-bit pixels gives."""


def square_side(images: Iterable[Tensor], samples: Iterable[DetDataSample]) -> int:
    """Side of the square for a batch, in pixels.

    Args:
        images: Images of shape (3, h_i, w_i).
        samples: Samples, optionally with `canvas` in the metainfo, see `SquareCrop`.

    Raises:
        ValueError: An image is larger than `canvas`.
    """
    longest = max(max(image.shape[-2:]) for image in images)
    canvas = max((sample.get('canvas', 0) for sample in samples), default=0)
    if 0 < canvas < longest:
        raise ValueError(
            f'an image has {longest} px, more than the {canvas} px of SquareCrop in the pipeline: '
            'do not enlarge images after SquareCrop'
        )
    return canvas or longest
