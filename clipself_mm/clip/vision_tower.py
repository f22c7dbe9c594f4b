"""The interface through which everything outside this folder sees a CLIP image tower.

What a tower is asked for is said here; how a ViT answers is in ``vit_tower.py``, how a CNN answers
in ``clip_resnet.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from .weights.tower_source import CLIP_MEAN, CLIP_STD


class VisionTower(nn.Module, ABC):
    """A CLIP image tower that gives image embeddings, dense features and intermediate maps.

    Args:
        visual: open_clip's image tower; its parameters keep open_clip's names under ``visual.``.
        width: Channels C of the map before pooling.
        dim: Channels of the joint embedding, D.
        patch_size: Pixels a cell of the dense map.
        image_size: Side of the images the tower was trained with.
        mean: RGB mean of its inputs, in 0-1 units.
        std: RGB standard deviation of its inputs, in 0-1 units.

    Attributes:
        frozen: Whether ``freeze`` was called: the tower then stays in eval mode.
        source: Which model and file the weights came from; set by ``build_tower``.
    """

    def __init__(
        self,
        visual: nn.Module,
        *,
        width: int,
        dim: int,
        patch_size: int,
        image_size: int,
        mean: Sequence[float] = CLIP_MEAN,
        std: Sequence[float] = CLIP_STD,
    ) -> None:
        super().__init__()
        self.visual = visual
        self.width = width
        self.dim = dim
        self.patch_size = patch_size
        self.image_size = image_size
        self.mean = tuple(mean)
        self.std = tuple(std)
        self.frozen = False
        self.source: Any = None

    # What every tower can do.

    @property
    @abstractmethod
    def dense_path(self) -> str:
        """What makes a dense feature of a token, in short (rule: docs/towers.md)."""

    @abstractmethod
    def encode_image(self, images: Tensor) -> Tensor:
        """Image-level embedding, that of open_clip's own model.

        Args:
            images: Normalised, sides divisible by ``patch_size``, shape (N, 3, H, W).

        Returns:
            Not normalised, shape (N, D).
        """

    @abstractmethod
    def encode_dense(self, images: Tensor) -> Tensor:
        """An embedding in the joint space for every cell of the map.

        Args:
            images: Normalised, sides divisible by ``patch_size``, shape (N, 3, H, W).

        Returns:
            L2-normalised over channels (but for a ViT with another ``last_block`` than the value
            path), contiguous, shape (N, D, h, w).
        """

    @abstractmethod
    def stages(
        self, images: Tensor, out_indices: Sequence[int], with_dense: bool = False
    ) -> tuple[list[Tensor], Tensor | None]:
        """Maps after chosen stages, as the backbone of a detector takes them.

        Args:
            images: Normalised, sides divisible by ``patch_size``, shape (N, 3, H, W).
            out_indices: Ascending indices of stages, 0-based.
            with_dense: Whether to return the dense map of the same pass too.

        Returns:
            The raw maps and the dense map (N, D, h, w) or None. The maps of a ViT have the shape
            (N, C, h, w), those of a CNN each their own width and stride.

        Raises:
            ValueError: An index is out of range or out of order.
        """

    # What some towers can do.

    def unlock_blocks(self, count: int | None = None) -> None:
        """Freeze the tower but for its last ``count`` blocks, as CLIPSelf trains it.

        Args:
            count: How many blocks train; None for all of them, 0 for none.

        Raises:
            NotImplementedError: The tower has no transformer blocks.
            ValueError: The tower has fewer blocks.
        """
        raise NotImplementedError(
            f'{type(self).__name__} has no transformer blocks to unlock; CLIPSelf trains ViTs'
        )

    def encode_regions_masked(self, images: Tensor, masks: Sequence[Tensor]) -> Tensor:
        """Region embeddings by masked attention (paper, Table A1, row 3).

        Args:
            images: Normalised, shape (N, 3, H, W).
            masks: For each image its regions on the token grid, shape (R_i, h, w), truthy inside.

        Returns:
            Not normalised, shape (sum of R_i, D), images in order.

        Raises:
            NotImplementedError: The tower does not pool by a class token.
        """
        raise NotImplementedError(
            f'masked attention follows a class token through the blocks; this '
            f'{type(self).__name__} does not pool by one'
        )

    # Frozen is frozen.

    def freeze(self) -> None:
        """Freeze every parameter and keep the tower in eval mode."""
        self.requires_grad_(False)
        self.frozen = True
        self.eval()

    def train(self, mode: bool = True) -> VisionTower:
        """Set the mode; a frozen tower stays in eval, so that no statistic of it moves."""
        return super().train(mode and not self.frozen)

    # What the adapters share.

    def check_sides(self, images: Tensor) -> None:
        """Refuse images whose sides are not whole cells.

        Raises:
            ValueError: A side is not divisible by ``patch_size``.
        """
        height, width = images.shape[-2:]
        if height % self.patch_size or width % self.patch_size:
            raise ValueError(
                f'image sides {height} x {width} are not multiples of the patch size '
                f'{self.patch_size}'
            )

    @staticmethod
    def check_stages(out_indices: Sequence[int], count: int) -> None:
        """Refuse indices that do not ascend within the ``count`` stages.

        Raises:
            ValueError: An index is out of range or out of order, or there is none.
        """
        indices = list(out_indices)
        ascending = indices and indices == sorted(set(indices))
        if not ascending or indices[0] < 0 or indices[-1] >= count:
            raise ValueError(f'out_indices {indices} must ascend within 0..{count - 1}')

    @staticmethod
    def unit_map(features: Tensor, grid: tuple[int, int]) -> Tensor:
        """Embeddings of cells row by row, shape (N, h * w, D), as a unit map (N, D, h, w)."""
        features = F.normalize(features, dim=-1)
        # Contiguous, since mmcv's CPU ops read a tensor's memory as if it were.
        return features.transpose(1, 2).unflatten(2, grid).contiguous()
