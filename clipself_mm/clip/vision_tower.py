"""The interface through which everything outside this folder sees a CLIP image tower.

A tower is a ViT with a class token. How it embeds, attends and projects is the adapter's business
(``openclip_vit.py``, ``eva02_vit.py``); what it is asked for is decided here, once for all towers.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class Embedded(NamedTuple):
    """Tokens about to enter the first block, and what the blocks need to know of their places."""

    tokens: Tensor
    """Class token first, then patches row by row, shape (N, 1 + h * w, C)."""
    grid: tuple[int, int]
    """(h, w)."""
    positions: Any
    """Rotary tables, or None where positions were added to the tokens."""


class VisionTower(nn.Module, ABC):
    """A CLIP ViT that gives image embeddings, dense features and intermediate maps.

    Args:
        visual: open_clip's image tower; its parameters keep open_clip's names under ``visual.``.
        width: Channels of a token, C.
        dim: Channels of the joint embedding, D.
        patch_size: Pixels a token.
        image_size: Side of the images the tower was trained with.
        mean: RGB mean of its inputs, in 0-1 units.
        std: RGB standard deviation of its inputs, in 0-1 units.

    Attributes:
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
        self.activation_checkpointing = False
        self.trains_stem = True
        self.first_trainable_block = 0
        self.source: Any = None

    # What an adapter provides.

    @property
    @abstractmethod
    def blocks(self) -> nn.ModuleList:
        """The transformer blocks in order."""

    @abstractmethod
    def embed(self, images: Tensor) -> Embedded:
        """Patch embedding, class token and positions for images of shape (N, 3, H, W)."""

    @abstractmethod
    def run_block(
        self,
        block: nn.Module,
        tokens: Tensor,
        positions: Any,  # noqa: ANN401 - the adapter's own kind
        queries: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """One residual block: ``queries`` attend to ``tokens``.

        Args:
            block: One of ``blocks``.
            tokens: Shape (N, L, C).
            positions: ``Embedded.positions``.
            queries: Class-token-like queries, shape (N, Q, C); by default the tokens themselves.
            mask: True where a query may look, shape (N, Q, L); by default everywhere.

        Returns:
            The updated queries, shape (N, Q, C).
        """

    @abstractmethod
    def run_value_path(self, block: nn.Module, tokens: Tensor) -> Tensor:
        """One residual block whose attention is replaced by its value path (paper, section 3.1)."""

    @abstractmethod
    def project(self, tokens: Tensor) -> Tensor:
        """Final norm and projection into the joint space, shape (..., C) -> (..., D)."""

    @abstractmethod
    def parameters_off_value_path(self, block: nn.Module) -> list[nn.Parameter]:
        """Whole parameters of a block that its value path does not touch (queries, keys)."""

    # What everyone asks for.

    def encode_image(self, images: Tensor) -> Tensor:
        """Image-level embedding.

        Args:
            images: Normalised, sides divisible by ``patch_size``, shape (N, 3, H, W).

        Returns:
            Not normalised, shape (N, D).
        """
        tokens, _, positions = self._embed(images)
        tokens = self._run_blocks(tokens, positions, stop=len(self.blocks) - 1)
        cls_token = self._step(
            len(self.blocks) - 1, self.run_block, tokens, positions, tokens[:, :1]
        )
        return self.project(cls_token[:, 0])

    def encode_dense(self, images: Tensor) -> Tensor:
        """Dense features by the value path of the last block (paper, section 3.1).

        Args:
            images: Normalised, sides divisible by ``patch_size``, shape (N, 3, H, W).

        Returns:
            L2-normalised over channels, shape (N, D, h, w).
        """
        tokens, grid, positions = self._embed(images)
        tokens = self._run_blocks(tokens, positions, stop=len(self.blocks) - 1)
        tokens = self._step(len(self.blocks) - 1, self.run_value_path, tokens)
        return self._dense_map(tokens, grid)

    def stages(
        self, images: Tensor, out_indices: Sequence[int], with_dense: bool = False
    ) -> tuple[list[Tensor], Tensor | None]:
        """Maps after chosen blocks, as an F-ViT backbone takes them (paper, appendix A.3).

        The last block, where it is among them, runs without attention.

        Args:
            images: Normalised, shape (N, 3, H, W).
            out_indices: Ascending indices of blocks, 0-based.
            with_dense: Whether to return the dense map of the same pass too.

        Returns:
            The raw maps, each of shape (N, C, h, w), and the dense map (N, D, h, w) or None.

        Raises:
            ValueError: An index is out of range or out of order.
        """
        last = len(self.blocks) - 1
        ascending = list(out_indices) == sorted(set(out_indices))
        if not ascending or out_indices[0] < 0 or out_indices[-1] > last:
            raise ValueError(f'out_indices {list(out_indices)} must ascend within 0..{last}')
        tokens, grid, positions = self._embed(images)
        maps, start = [], 0
        for index in out_indices:
            if index == last:
                break
            tokens = self._run_blocks(tokens, positions, start=start, stop=index + 1)
            maps.append(self._as_map(tokens, grid))
            start = index + 1
        if last in out_indices or with_dense:
            tokens = self._run_blocks(tokens, positions, start=start, stop=last)
            tokens = self._step(last, self.run_value_path, tokens)
        if last in out_indices:
            maps.append(self._as_map(tokens, grid))
        return maps, self._dense_map(tokens, grid) if with_dense else None

    def encode_regions_masked(self, images: Tensor, masks: Sequence[Tensor]) -> Tensor:
        """Region embeddings by masked attention (paper, Table A1, row 3).

        For each region a copy of the class token looks, in every block, only at the class token
        and at the tokens inside the region; no token sees the copies.

        Args:
            images: Normalised, shape (N, 3, H, W).
            masks: For each image its regions on the token grid, shape (R_i, h, w), truthy inside.

        Returns:
            Not normalised, shape (sum of R_i, D), images in order.
        """
        tokens, grid, positions = self._embed(images)
        counts = [len(item) for item in masks]
        visible = tokens.new_zeros(len(images), max(counts), *grid, dtype=torch.bool)
        for row, item in zip(visible, masks, strict=True):
            row[: len(item)] = item.to(device=row.device).bool()
        visible = F.pad(visible.flatten(2), (1, 0), value=True)
        copies = tokens[:, :1].expand(-1, max(counts), -1)
        for block in self.blocks:
            copies = self.run_block(block, tokens, positions, queries=copies, mask=visible)
            tokens = self.run_block(block, tokens, positions)
        regions = torch.cat([row[:n] for row, n in zip(copies, counts, strict=True)])
        return self.project(regions)

    def unlock_blocks(self, count: int | None = None) -> None:
        """Freeze the tower but for its last ``count`` blocks, as CLIPSelf trains it.

        Patch embedding, positions, class token, final norm and projection stay frozen, and so do
        the last block's queries and keys, which the value path does not use.

        Args:
            count: How many blocks train; None for all of them, 0 for none.

        Raises:
            ValueError: The tower has fewer blocks.
        """
        total = len(self.blocks)
        count = total if count is None else count
        if not 0 <= count <= total:
            raise ValueError(f'cannot unlock {count} blocks of a tower of {total}')
        self.requires_grad_(False)
        self.trains_stem = False
        self.first_trainable_block = total - count
        for block in self.blocks[total - count :]:
            block.requires_grad_(True)
        for parameter in self.parameters_off_value_path(self.blocks[-1]):
            parameter.requires_grad_(False)

    def freeze(self) -> None:
        """Freeze every parameter and put the tower in eval mode."""
        self.unlock_blocks(0)
        self.eval()

    # Inner steps.

    def _embed(self, images: Tensor) -> Embedded:
        height, width = images.shape[-2:]
        if height % self.patch_size or width % self.patch_size:
            raise ValueError(
                f'image sides {height} x {width} are not multiples of the patch size '
                f'{self.patch_size}'
            )
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.trains_stem):
            return self.embed(images)

    def _run_blocks(self, tokens: Tensor, positions: Any, stop: int, start: int = 0) -> Tensor:  # noqa: ANN401
        for index in range(start, stop):
            tokens = self._step(index, self.run_block, tokens, positions)
        return tokens

    def _step(self, index: int, run: Callable[..., Tensor], *inputs: Any) -> Tensor:  # noqa: ANN401
        """Run one block, keeping activations only from the first trainable block on."""
        block = self.blocks[index]
        tracked = torch.is_grad_enabled() and index >= self.first_trainable_block
        if tracked and self.activation_checkpointing and self.training:
            return checkpoint(run, block, *inputs, use_reentrant=False)
        with torch.set_grad_enabled(tracked):
            return run(block, *inputs)

    def _dense_map(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        features = F.normalize(self.project(tokens[:, 1:]), dim=-1)
        # Contiguous, since mmcv's CPU ops read a tensor's memory as if it were.
        return features.transpose(1, 2).unflatten(2, grid).contiguous()

    @staticmethod
    def _as_map(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        return tokens[:, 1:].transpose(1, 2).unflatten(2, grid).contiguous()
