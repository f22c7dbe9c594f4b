"""Image patches as regions: the paper's training without annotation (section 3.2)."""

from __future__ import annotations

import numpy as np
import torch
from mmengine.registry import TASK_UTILS

from .enlarge_boxes import enlarge_boxes


def grid_choices(max_split: int) -> list[tuple[int, int]]:
    """List the possible grids of an image.

    Args:
        max_split: Largest number of rows or columns.

    Returns:
        All (rows m, columns n) with ceil(m / 2) <= n <= min(2 m, max_split), rows first.
    """
    return [
        (rows, columns)
        for rows in range(1, max_split + 1)
        for columns in range((rows + 1) // 2, min(2 * rows, max_split) + 1)
    ]


def grid_boxes(height: int, width: int, rows: int, columns: int) -> np.ndarray:
    """Cut an image into equal cells, row by row.

    Corners are computed in single precision, as in the official implementation. They are rounded to
    whole pixels later, so other last bits could shift a crop by a pixel.

    Args:
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        rows: Number of rows m.
        columns: Number of columns n.

    Returns:
        Boxes xyxy in pixels of the image, float64 of shape (m n, 4).
    """
    x = torch.linspace(0, 1, columns + 1) * width
    y = torch.linspace(0, 1, rows + 1) * height
    y0, x0 = torch.meshgrid(y[:-1], x[:-1], indexing='ij')
    y1, x1 = torch.meshgrid(y[1:], x[1:], indexing='ij')
    return torch.stack([x0, y0, x1, y1], dim=-1).reshape(-1, 4).double().numpy()


@TASK_UTILS.register_module()
class GridRegions:
    """Choose cells of a random grid.

    The grid is chosen uniformly from `grid_choices`, and at most `max_regions` of its cells at
    random.

    Args:
        max_split: Largest number of rows or columns.
        max_regions: Largest number of regions of a grid.
        crop_scale: Size of the teacher's crop relative to the cell.
        grids: Number of grids of an image, each chosen independently.
        whole: Whether the whole image is a region too, the first one.
    """

    def __init__(
        self,
        max_split: int = 6,
        max_regions: int = 20,
        crop_scale: float = 1.0,
        grids: int = 1,
        whole: bool = False,
    ) -> None:
        if max_split < 1 or max_regions < 1 or grids < 1:
            raise ValueError(
                'max_split, max_regions and grids are at least 1, not '
                f'{max_split}, {max_regions} and {grids}'
            )
        if crop_scale <= 0:
            raise ValueError(f'crop_scale is above 0, not {crop_scale}')
        self.choices = grid_choices(max_split)
        self.max_regions = max_regions
        self.crop_scale = crop_scale
        self.grids = grids
        self.whole = whole

    def __call__(
        self, results: dict, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Choose the regions of one image.

        Args:
            results: Sample with `ori_shape` (height, width) in pixels.
            generator: Source of every random choice.

        Returns:
            Boxes the student pools and boxes of the teacher's crops, both xyxy in source pixels,
            float64 of shape (R, 4).
        """
        height, width = results['ori_shape']
        parts = [grid_boxes(height, width, 1, 1)] if self.whole else []
        for _ in range(self.grids):
            rows, columns = self.choices[generator.integers(len(self.choices))]
            cells = grid_boxes(height, width, rows, columns)
            parts.append(cells[generator.permutation(len(cells))[: self.max_regions]])
        boxes_src = np.concatenate(parts)
        return boxes_src, enlarge_boxes(boxes_src, self.crop_scale, height, width)
