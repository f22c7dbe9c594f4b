"""Base class of the ViT towers; the adapters implement embedding, blocks and projection."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from functools import cache, partial, reduce
from typing import Any, NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .self_correlation import SELF_CORRELATIONS, LastBlock, summed_blocks
from .vision_tower import VisionTower
from .weights.tower_source import CLIP_MEAN, CLIP_STD

Block: TypeAlias = Any
"""A transformer block of open_clip or timm, which have no static types."""


class ViTTower(VisionTower):
    """A CLIP ViT.

    A dense feature is the pooling of one token alone. A class token that attends to one patch only
    takes the value of this patch: the last block is reduced to its value path (paper,
    section 3.1). Towers that pool after the blocks (attention pooling, mean) run all blocks in
    full, and ``project`` applies the pooling to each token alone.

    Dropout, patch dropout and stochastic depth of the wrapped model are never applied.

    Args:
        visual: open_clip's image tower; its parameters keep open_clip's names under ``visual.``.
        width: Channels of a token, C.
        dim: Channels of the joint embedding, D.
        patch_size: Side of a token in pixels.
        image_size: Side in pixels of the images the tower was trained with.
        mean: RGB mean of its inputs, in 0-1 units.
        std: RGB standard deviation of its inputs, in 0-1 units.
        prefix: Number of tokens before the patches, P.
        pools_class_token: Whether the image embedding is the class token.

    Attributes:
        last_block: ``value`` for the value path; ``qq`` or ``csa`` for DeCLIP's last block: the
            attention branch alone, by self-correlation, and dense maps that are **not**
            normalised; ``values-K`` for the sum of the value branches of the last K blocks,
            without residuals and MLPs (DenseRC without its gate). It changes dense maps and
            ``stages``, but not image embeddings and masked regions. Set it before
            ``unlock_blocks``.
        compile_blocks: Whether blocks run through ``torch.compile``. All blocks share the compiled
            code, so compiling takes seconds where that of a whole step takes minutes.
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
        prefix: int = 1,
        pools_class_token: bool = True,
    ) -> None:
        super().__init__(
            visual,
            width=width,
            dim=dim,
            patch_size=patch_size,
            image_size=image_size,
            mean=mean,
            std=std,
        )
        self.prefix = prefix
        self.pools_class_token = pools_class_token
        self.activation_checkpointing = False
        self.compile_blocks = False
        self.last_block: LastBlock = 'value'
        self.trains_stem = True
        self.first_trainable_block = 0

    # Implemented by the adapters.

    @property
    @abstractmethod
    def blocks(self) -> nn.ModuleList | nn.Sequential:
        """The transformer blocks in order."""

    @abstractmethod
    def embed(self, images: Tensor) -> Embedded:
        """Patch embedding, class token and positions of images, shape (N, 3, H, W)."""

    @abstractmethod
    def run_block(
        self,
        block: Block,
        tokens: Tensor,
        positions: Tensor | None,
        queries: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """One residual block: ``queries`` attend to ``tokens``.

        Args:
            block: One of ``blocks``.
            tokens: Shape (N, L, C).
            positions: ``Embedded.positions``.
            queries: Copies of the class token, shape (N, Q, C); by default the tokens themselves.
            mask: True where a query may attend, shape (N, Q, L); by default everywhere.

        Returns:
            The updated queries, shape (N, Q, C).
        """

    @abstractmethod
    def run_value_branch(self, block: Block, tokens: Tensor) -> Tensor:
        """The attention branch of a block, reduced to its values: without residual and MLP."""

    @abstractmethod
    def run_value_path(self, block: Block, tokens: Tensor) -> Tensor:
        """One residual block whose attention is replaced by its value path (paper, section 3.1)."""

    @abstractmethod
    def run_self_correlation(
        self, block: Block, tokens: Tensor, positions: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The attention branch of a block, with self-correlation by ``last_block``.

        Returns:
            The branch without residual and MLP, and the queries, heads concatenated, after RoPE
            if the block has it; each of shape (N, L, C).
        """

    @abstractmethod
    def project(self, tokens: Tensor) -> Tensor:
        """Pooling and projection of each token alone, (..., C) -> (..., D)."""

    @abstractmethod
    def pool(self, tokens: Tensor) -> Tensor:
        """Image embedding from the tokens of the last block, (N, L, C) -> (N, D).

        A tower that pools by the class token gets this token only, L = 1.
        """

    @abstractmethod
    def parameters_off_value_path(self, block: Block) -> list[nn.Parameter]:
        """Parameters of a block that its value path does not use (queries, keys)."""

    @abstractmethod
    def parameters_off_self_correlation(self, block: Block) -> list[nn.Parameter]:
        """Parameters of a block that ``run_self_correlation`` does not use (the MLP)."""

    # Common to all ViTs.

    @property
    def dense_path(self) -> str:
        """How a dense feature is computed, in a few words."""
        if self.last_block in SELF_CORRELATIONS:
            return f'self-correlation ({self.last_block}) of the last block'
        if count := summed_blocks(self.last_block):
            return f'sum of the value branches of the last {count} blocks'
        if self.pools_class_token:
            return 'value path of the last block'
        return 'pooling of one token'

    def encode_image(self, images: Tensor) -> Tensor:
        """Image embedding (see ``VisionTower``)."""
        inputs, _, positions = self._start(images)
        last = len(self.blocks) - 1
        self._run_blocks(inputs, positions, stop=last)
        tokens = inputs[-1]
        queries = tokens[:, :1] if self.pools_class_token else None
        return self.pool(self._step(last, self.run_block, tokens, positions, queries))

    def encode_dense(self, images: Tensor) -> Tensor:
        """Dense features (see ``VisionTower``)."""
        return self.encode_dense_context(images)[0]

    def encode_dense_context(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Dense features and DeCLIP's context features of the same forward pass.

        Returns:
            The dense map, shape (N, D, h, w), and the queries of the last block, heads
            concatenated, after RoPE if the block has it, shape (N, C, h, w); None unless
            ``last_block`` is a self-correlation.
        """
        inputs, grid, positions = self._start(images)
        self._run_blocks(inputs, positions, stop=len(self.blocks) - 1)
        tokens, context = self._run_last(inputs, positions)
        context = None if context is None else self._as_map(context, grid)
        return self._dense_map(tokens, grid), context

    def stages(
        self, images: Tensor, out_indices: Sequence[int], with_dense: bool = False
    ) -> tuple[list[Tensor], Tensor | None]:
        """Maps after chosen blocks, as F-ViT takes them (paper, appendix A.3).

        The last block, if chosen, runs as for the dense map (see ``VisionTower``).
        """
        last = len(self.blocks) - 1
        self.check_stages(out_indices, len(self.blocks))
        inputs, grid, positions = self._start(images)
        maps, start = [], 0
        for index in out_indices:
            if index == last:
                break
            self._run_blocks(inputs, positions, start=start, stop=index + 1)
            maps.append(self._as_map(inputs[-1], grid))
            start = index + 1
        if last in out_indices or with_dense:
            self._run_blocks(inputs, positions, start=start, stop=last)
            tokens, _ = self._run_last(inputs, positions)
        if last in out_indices:
            maps.append(self._as_map(tokens, grid))
        return maps, self._dense_map(tokens, grid) if with_dense else None

    def encode_regions_masked(self, images: Tensor, masks: Sequence[Tensor]) -> Tensor:
        """Region embeddings by masked attention (see ``VisionTower``).

        Per region, a copy of the class token attends, in every block, to the class token and to
        the tokens inside the region only. No token attends to the copies.
        """
        if not self.pools_class_token:
            return super().encode_regions_masked(images, masks)
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

        Patch embedding, positions, class token, pooling, final norm and projection stay frozen,
        and so do the parameters of the last block that no dense feature depends on.
        """
        total = len(self.blocks)
        count = total if count is None else count
        if not 0 <= count <= total:
            raise ValueError(f'cannot unlock {count} blocks of a tower of {total}')
        self.requires_grad_(False)
        self.frozen = False
        self.trains_stem = False
        self.first_trainable_block = total - count
        for block in list(self.blocks)[total - count :]:
            block.requires_grad_(True)
        for parameter in self.parameters_off_dense_path():
            parameter.requires_grad_(False)

    def parameters_off_dense_path(self) -> list[nn.Parameter]:
        """Parameters of the last block that no dense feature depends on."""
        if not self.pools_class_token:
            return []
        last = self.blocks[-1]
        if self.last_block == 'value':
            return self.parameters_off_value_path(last)
        unused = self.parameters_off_self_correlation(last)
        if summed_blocks(self.last_block):
            unused += self.parameters_off_value_path(last)
        return unused

    def freeze(self) -> None:
        """Freeze every parameter and keep the tower in eval mode."""
        self.unlock_blocks(0)
        super().freeze()

    def _embed(self, images: Tensor) -> Embedded:
        self.check_sides(images)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.trains_stem):
            return self.embed(images)

    def _start(self, images: Tensor) -> tuple[deque[Tensor], tuple[int, int], Tensor | None]:
        """Embed images; the first item collects the inputs of the last blocks, as needed."""
        tokens, grid, positions = self._embed(images)
        return deque([tokens], maxlen=summed_blocks(self.last_block) or 1), grid, positions

    def _run_blocks(
        self, inputs: deque[Tensor], positions: Tensor | None, stop: int, start: int = 0
    ) -> None:
        for index in range(start, stop):
            inputs.append(self._step(index, self.run_block, inputs[-1], positions))

    def _run_last(
        self, inputs: deque[Tensor], positions: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        last, tokens = len(self.blocks) - 1, inputs[-1]
        if not self.pools_class_token:
            return self._step(last, self.run_block, tokens, positions), None
        if self.last_block in SELF_CORRELATIONS:
            return self._step(last, self.run_self_correlation, tokens, positions)
        if not summed_blocks(self.last_block):
            return self._step(last, self.run_value_path, tokens), None
        first = len(self.blocks) - len(inputs)
        values = (
            self._step(index, self.run_value_branch, tokens)
            for index, tokens in enumerate(inputs, start=first)
        )
        return reduce(torch.add, values), None

    def _step(self, index: int, run: Any, *inputs: Any) -> Any:  # noqa: ANN401
        """Run one block, with gradients from the first trainable block on."""
        block = self.blocks[index]
        if self.compile_blocks:
            run = partial(compiled(run.__func__), self)
        needs_grad = torch.is_grad_enabled() and index >= self.first_trainable_block
        if needs_grad and self.activation_checkpointing and self.training:
            return checkpoint(run, block, *inputs, use_reentrant=False)
        with torch.set_grad_enabled(needs_grad):
            return run(block, *inputs)

    def _dense_map(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        if self.last_block in SELF_CORRELATIONS:
            return self._as_map(self.project(tokens), grid)
        return self.unit_map(self.project(tokens[:, self.prefix :]), grid)

    def _as_map(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        return tokens[:, self.prefix :].transpose(1, 2).unflatten(2, grid).contiguous()


COMPILED_VARIANTS = 64
"""Variants of a block's code that are compiled at most; torch runs any further one as it is."""


@cache
def compiled(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of a class through ``torch.compile``, once for all its objects.

    Torch keeps 8 variants of a function. Student and teacher in training and validation, with two
    numbers of crops, are more.
    """
    dynamo = torch._dynamo.config
    dynamo.cache_size_limit = max(dynamo.cache_size_limit, COMPILED_VARIANTS)
    return torch.compile(method)


class Embedded(NamedTuple):
    """Input of the first block."""

    tokens: Tensor
    """Prefix (class token) first, then patches row by row, shape (N, P + h * w, C)."""
    grid: tuple[int, int]
    """(h, w)."""
    positions: Tensor | None
    """RoPE tables from ``rope_pairs``; None if the tower has learned positions only."""
