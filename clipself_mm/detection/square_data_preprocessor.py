"""mmdet's preprocessor that pads to squares, whose size the data says."""

from __future__ import annotations

from collections.abc import Iterable

from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.structures import DetDataSample
from mmengine.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class SquareDataPreprocessor(DetDataPreprocessor):
    """`DetDataPreprocessor` that pads a batch to a square, as the authors' release does.

    The square's side is that of the training pipeline's `SquareCrop`, without one the batch's
    longest side: another image scale is set in the pipeline alone.

    Args:
        pad_size_divisor: The side is rounded up to a multiple of it: twice the tower's patch size,
            so that every level of the pyramid is whole.
        **kwargs: As in mmdet's `DetDataPreprocessor`.
    """

    def __init__(self, pad_size_divisor: int = 1, **kwargs: object) -> None:
        super().__init__(pad_size_divisor=pad_size_divisor, **kwargs)
        self.side_divisor = pad_size_divisor

    def forward(self, data: dict, training: bool = False) -> dict:
        """As mmdet's, which pads each side to a multiple of `pad_size_divisor`: here to one.

        Args:
            data: `inputs`, images of shape (3, h_i, w_i), and perhaps `data_samples`.
            training: As in mmdet's.

        Returns:
            `inputs` of shape (N, 3, side, side) and `data_samples`.

        Raises:
            ValueError: An image is larger than its `canvas`.
        """
        side = square_side(data['inputs'], data.get('data_samples') or ())
        self.pad_size_divisor = -(-side // self.side_divisor) * self.side_divisor
        return super().forward(data, training)


def square_side(images: Iterable[Tensor], samples: Iterable[DetDataSample]) -> int:
    """Side of the square for a batch, in pixels.

    Args:
        images: Shape (3, h_i, w_i) each.
        samples: With `canvas` in the metainfo, see `SquareCrop`, or not.

    Raises:
        ValueError: An image is larger than `canvas`.
    """
    longest = max(max(image.shape[-2:]) for image in images)
    canvas = max((sample.get('canvas', 0) for sample in samples), default=0)
    if 0 < canvas < longest:
        raise ValueError(
            f'an image of {longest} px does not fit the square of {canvas} px that SquareCrop of '
            'the pipeline asks for: nothing behind the crop may enlarge the image'
        )
    return canvas or longest
