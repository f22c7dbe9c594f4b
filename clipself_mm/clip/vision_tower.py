"""Interface of all CLIP image towers; ``vit_tower.py`` and ``clip_resnet.py`` implement it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from .activation import check_metadata, record_activation
from .weights.tower_source import CLIP_MEAN, CLIP_STD, TowerSource


class VisionTower(nn.Module, ABC):
    """A CLIP image tower that gives image embeddings, dense features and intermediate maps.

    Args:
        visual: open_clip's image tower; its parameters keep open_clip's names under ``visual.``.
        width: Channels C of the map before pooling.
        dim: Channels of the joint embedding, D.
        patch_size: Stride of the dense map in pixels.
        image_size: Side in pixels of the images the tower was trained with.
        mean: RGB mean of its inputs, in 0-1 units.
        std: RGB standard deviation of its inputs, in 0-1 units.

    Attributes:
        frozen: Whether ``freeze`` was called: the tower then stays in eval mode.
        source: Model and weights file; set by ``build_tower``.
    """

    visual: Any  # open_clip and timm have no static types

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
        self.source: TowerSource | None = None
        self._register_state_dict_hook(record_activation)

    def _load_from_state_dict(
        self,
        state_dict: dict,
        prefix: str,
        local_metadata: dict,
        *others: Any,
    ) -> None:
        check_metadata(self, local_metadata, prefix)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *others)

    # Supported by every tower.

    @property
    @abstractmethod
    def dense_path(self) -> str:
        """How a dense feature is computed, in a few words (rule: docs/towers.md)."""

    @abstractmethod
    def encode_image(self, images: Tensor) -> Tensor:
        """Image embedding, equal to that of open_clip's model.

        Args:
            images: Normalised, sides divisible by ``patch_size``, shape (N, 3, H, W).

        Returns:
            Not normalised, shape (N, D).
        """

    @abstractmethod
    def encode_dense(self, images: Tensor) -> Tensor:
        """One embedding in the joint space per cell of the dense map.

        Args:
            images: Normalised, sides divisible by ``patch_size``, shape (N, 3, H, W).

        Returns:
            Contiguous, shape (N, D, h, w). L2-normalised over D, except for a ViT whose
            ``last_block`` is ``qq`` or ``csa``.
        """

    @abstractmethod
    def stages(
        self, images: Tensor, out_indices: Sequence[int], with_dense: bool = False
    ) -> tuple[list[Tensor], Tensor | None]:
        """Maps after chosen stages, for the backbone of a detector.

        Args:
            images: Normalised, sides divisible by ``patch_size``, shape (N, 3, H, W).
            out_indices: Ascending indices of stages, 0-based.
            with_dense: Whether to return the dense map of the same forward pass too.

        Returns:
            The maps, not normalised, and the dense map (N, D, h, w) or None. Maps of a ViT have
            the shape (N, C, h, w); those of a CNN differ in width and stride.
        """

    # Supported by some towers.

    def unlock_blocks(self, count: int | None = None) -> None:
        """Freeze the tower but for its last ``count`` blocks, as CLIPSelf trains it.

        Args:
            count: Number of blocks that train; None for all, 0 for none.

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
            masks: Regions per image on the token grid, shape (R_i, h, w), nonzero inside.

        Returns:
            Not normalised, shape (sum of R_i, D), images in order.

        Raises:
            NotImplementedError: The tower does not pool by a class token.
        """
        raise NotImplementedError(
            f'masked attention needs a tower that pools by a class token; this '
            f'{type(self).__name__} does not'
        )

    # Freezing.

    def freeze(self) -> None:
        """Freeze every parameter and keep the tower in eval mode."""
        self.requires_grad_(False)
        self.frozen = True
        self.eval()

    def train(self, mode: bool = True) -> VisionTower:
        """Set the mode; a frozen tower stays in eval mode, which keeps its norm statistics."""
        return super().train(mode and not self.frozen)

    # Shared by the adapters.

    def check_sides(self, images: Tensor) -> None:
        """Check that the sides of images are divisible by ``patch_size``."""
        height, width = images.shape[-2:]
        if height % self.patch_size or width % self.patch_size:
            raise ValueError(
                f'image sides {height} x {width} are not multiples of the patch size '
                f'{self.patch_size}'
            )

    @staticmethod
    def check_stages(out_indices: Sequence[int], count: int) -> None:
        """Check that there are stage indices and that they ascend within 0..count - 1."""
        indices = list(out_indices)
        ascending = indices and indices == sorted(set(indices))
        if not ascending or indices[0] < 0 or indices[-1] >= count:
            raise ValueError(f'out_indices {indices} must ascend within 0..{count - 1}')

    @staticmethod
    def unit_map(features: Tensor, grid: tuple[int, int]) -> Tensor:
        """Cells row by row, shape (N, h * w, D), to an L2-normalised map (N, D, h, w)."""
        features = F.normalize(features, dim=-1)
        # mmcv's CPU ops read wrong values from a tensor that is not contiguous.
        return features.transpose(1, 2).unflatten(2, grid).contiguous()
