"""The size that a training image is padded to, said where the size of the image is said."""

from __future__ import annotations

from mmengine.registry import TRANSFORMS


@TRANSFORMS.register_module()
class SquareCanvas:
    """Asks the model to pad this image to a square; goes behind `PackDetInputs`.

    Images that large-scale jitter made small train on the same square as the others (authors'
    release). `SquareDataPreprocessor` pads, after normalising, so that the padding is zero.

    Args:
        size: Side in pixels, or (side, side) as other transforms take it.

    Raises:
        ValueError: The size is no square.
    """

    def __init__(self, size: int | tuple[int, int]) -> None:
        sides = {size} if isinstance(size, int) else set(size)
        if len(sides) != 1:
            raise ValueError(f'SquareCanvas takes one side or two equal ones, not size={size}')
        (self.side,) = sides

    def __call__(self, results: dict) -> dict:
        """Note the side as `canvas` in the metainfo of the sample."""
        results['data_samples'].set_metainfo(dict(canvas=self.side))
        return results

    def __repr__(self) -> str:
        """Type and side, for printing a pipeline."""
        return f'{type(self).__name__}(size={self.side})'
