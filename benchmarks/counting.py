"""How much a CLIP ViT has to compute and to keep, counted from its sizes alone.

Pure functions of numbers. A multiplication and an addition are two FLOPs; what is counted are
matrix products and convolutions, as ``torch.utils.flop_counter`` counts them: norms, activations
and residuals are some percent of the FLOPs, though not of the time on a CPU. All counts are for one
image unless said otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ViTShape:
    """The sizes of a ViT that decide its cost.

    Attributes:
        width: Channels of a token, C.
        depth: Number of blocks.
        hidden: Channels inside the MLP, h.
        heads: Number of attention heads.
        dim: Channels of the joint embedding, D.
        patch_size: Pixels a token.
        eva02: Whether its blocks are EVA-02's: rotary positions, a SwiGLU of three matrices, norms
            before the output projections, no bias of the keys. Otherwise they are OpenAI's.
        native_tokens: Tokens of the images it was trained with, of which it has learned positions.
        prefix: Tokens before the patches.
    """

    width: int
    depth: int
    hidden: int
    heads: int
    dim: int
    patch_size: int
    eva02: bool = False
    native_tokens: int = 197
    prefix: int = 1

    def tokens(self, height: int, width: int | None = None) -> int:
        """Tokens of an image of ``height`` x ``width`` pixels (square by default)."""
        width = height if width is None else width
        return (height // self.patch_size) * (width // self.patch_size) + self.prefix


SHAPES = {
    'EVA02-B-16': ViTShape(768, 12, 2048, 12, 512, 16, eva02=True, native_tokens=197),
    'EVA02-L-14-336': ViTShape(1024, 24, 2730, 16, 768, 14, eva02=True, native_tokens=577),
    'ViT-B-16': ViTShape(768, 12, 3072, 12, 512, 16, native_tokens=197),
    'ViT-L-14-336': ViTShape(1024, 24, 4096, 16, 768, 14, native_tokens=577),
}
"""The towers of the paper, by open_clip's names; tested against open_clip's modules."""


def mlp_flops(tokens: int, width: int, hidden: int, gated: bool = False) -> int:
    """Forward FLOPs of an MLP."""
    return 2 * tokens * width * hidden * (3 if gated else 2)


def attention_flops(tokens: int, width: int, queries: int | None = None) -> int:
    """Forward FLOPs of softmax(q k^T) v without projections; ``queries`` is L by default."""
    return 4 * (tokens if queries is None else queries) * tokens * width


def block_flops(
    tokens: int, width: int, hidden: int, gated: bool = False, queries: int | None = None
) -> int:
    """Forward FLOPs of a whole block.

    Args:
        tokens: Tokens looked at, L.
        width: Channels of a token, C.
        hidden: Channels inside the MLP.
        gated: Whether the MLP is a SwiGLU.
        queries: Tokens that look and are wanted, L by default; 1 for a class token alone.
    """
    queries = tokens if queries is None else queries
    projections = 2 * width * width * (2 * queries + 2 * tokens)
    attention = attention_flops(tokens, width, queries)
    return projections + attention + mlp_flops(queries, width, hidden, gated)


def value_block_flops(tokens: int, width: int, hidden: int, gated: bool = False) -> int:
    """Forward FLOPs of a block reduced to its value path (paper, section 3.1)."""
    return 4 * tokens * width * width + mlp_flops(tokens, width, hidden, gated)


def stem_flops(tokens: int, shape: ViTShape) -> int:
    """Forward FLOPs of the patch embedding, for ``tokens`` with the prefix."""
    return 2 * (tokens - shape.prefix) * 3 * shape.patch_size**2 * shape.width


def vit_flops(tokens: int, shape: ViTShape, last: str = 'value') -> int:
    """Forward FLOPs of a tower for one image.

    Args:
        tokens: With the prefix, L.
        shape: Of the tower.
        last: How the last block runs: ``value`` (dense features), ``class_token`` (the image
            embedding, other tokens only looked at), or ``whole`` with the projection of the
            class token (open_clip's own pass).

    Raises:
        ValueError: ``last`` is none of these.
    """
    sizes = (tokens, shape.width, shape.hidden, shape.eva02)
    flops = stem_flops(tokens, shape) + (shape.depth - 1) * block_flops(*sizes)
    projection = 2 * shape.width * shape.dim
    if last == 'value':
        return flops + value_block_flops(*sizes) + (tokens - shape.prefix) * projection
    if last == 'class_token':
        return flops + block_flops(*sizes, queries=1) + projection
    if last == 'whole':
        return flops + block_flops(*sizes) + projection
    raise ValueError(f'last is value, class_token or whole, got {last!r}')


def dense_backward_flops(
    tokens: int, shape: ViTShape, unlocked: int | None = None, recomputed_attention: bool = True
) -> int:
    """Backward FLOPs of dense features by the value path, stem and projection frozen.

    A matrix product costs twice its forward. Attention does so too where its weights were kept;
    the fused kernel computes them once more (5 products in place of 4).

    Args:
        tokens: With the prefix, L.
        shape: Of the tower.
        unlocked: Blocks that train, the last ones; None for all.
        recomputed_attention: Whether attention is the fused kernel.
    """
    unlocked = shape.depth if unlocked is None else unlocked
    if not unlocked:
        return 0
    sizes = (tokens, shape.width, shape.hidden, shape.eva02)
    attention = attention_flops(tokens, shape.width)
    whole = 2 * block_flops(*sizes) + (attention // 2 if recomputed_attention else 0)
    projection = 2 * (tokens - shape.prefix) * shape.width * shape.dim
    return (unlocked - 1) * whole + 2 * value_block_flops(*sizes) + projection


def recomputing_flops(tokens: int, shape: ViTShape, unlocked: int | None = None) -> int:
    """Forward FLOPs that activation checkpointing runs once more in the backward.

    A block's last product is left out: nothing needs its result again.
    """
    unlocked = shape.depth if unlocked is None else unlocked
    if not unlocked:
        return 0
    sizes = (tokens, shape.width, shape.hidden, shape.eva02)
    last_products = unlocked * 2 * tokens * shape.width * shape.hidden
    return (unlocked - 1) * block_flops(*sizes) + value_block_flops(*sizes) - last_products


@dataclass(frozen=True)
class StepFlops:
    """FLOPs of one distillation step.

    Attributes:
        student_forward: Dense features of all images.
        student_backward: Their gradients, with what checkpointing recomputes.
        teacher: Image embeddings of all crops.
    """

    student_forward: int
    student_backward: int
    teacher: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.student_forward + self.student_backward + self.teacher


def distillation_flops(
    shape: ViTShape,
    student_side: int,
    crop_side: int,
    crops: int,
    images: int = 1,
    unlocked: int | None = None,
    checkpointing: bool = False,
    whole_last_teacher_block: bool = False,
    recomputed_attention: bool = True,
) -> StepFlops:
    """FLOPs of one step of CLIPSelf (paper, section 3.2).

    Args:
        shape: Of student and teacher.
        student_side: Pixels a side of the student's square images.
        crop_side: Pixels a side of the teacher's crops.
        crops: Crops of all images together.
        images: Images of the batch.
        unlocked: Blocks that train; None for all.
        checkpointing: Whether blocks are run once more in the backward.
        whole_last_teacher_block: Whether the teacher's last block updates every token, as
            open_clip's own pass does.
        recomputed_attention: See ``dense_backward_flops``.
    """
    tokens = shape.tokens(student_side)
    backward = dense_backward_flops(tokens, shape, unlocked, recomputed_attention)
    if checkpointing:
        backward += recomputing_flops(tokens, shape, unlocked)
    last = 'whole' if whole_last_teacher_block else 'class_token'
    return StepFlops(
        student_forward=images * vit_flops(tokens, shape),
        student_backward=images * backward,
        teacher=crops * vit_flops(shape.tokens(crop_side), shape, last),
    )


# Bytes.


def block_parameters(shape: ViTShape, value_path_only: bool = False) -> int:
    """Parameters of one block.

    Args:
        shape: Of the tower.
        value_path_only: Whether to leave out queries and keys, which of the last block are frozen
            where they are parameters of their own (EVA-02).
    """
    width, hidden = shape.width, shape.hidden
    if not shape.eva02:
        return 4 * width * width + 2 * width * hidden + 9 * width + hidden
    whole = 4 * width * width + 3 * width * hidden + 10 * width + 4 * hidden
    return whole - (2 * width * width + width if value_path_only else 0)


def tower_parameters(shape: ViTShape) -> int:
    """Parameters of an image tower, head included."""
    width = shape.width
    outside = 3 * shape.patch_size**2 * width + width + shape.native_tokens * width
    outside += width * shape.dim
    outside += width + 2 * width + shape.dim if shape.eva02 else 4 * width
    return outside + shape.depth * block_parameters(shape)


def trained_parameters(shape: ViTShape, unlocked: int | None = None) -> int:
    """Parameters that train, the last ``unlocked`` blocks' (all by default)."""
    unlocked = shape.depth if unlocked is None else unlocked
    if not unlocked:
        return 0
    return (unlocked - 1) * block_parameters(shape) + block_parameters(shape, value_path_only=True)


def block_activation_bytes(
    tokens: int,
    shape: ViTShape,
    value_path: bool = False,
    materialised: bool = False,
    half: bool = False,
) -> int:
    """Bytes that autograd keeps of a block's forward, for one image.

    In mixed precision that is more than half of float32's: norms keep float32, and each linear
    layer its own half copy of what a norm gives it.

    Args:
        tokens: With the prefix, L.
        shape: Of the tower.
        value_path: Whether the block is reduced to its value path.
        materialised: Whether attention keeps its weights, heads x L x L.
        half: Whether it runs under autocast in fp16 or bf16.

    Raises:
        ValueError: The weights of attention are counted in float32 only.
    """
    width, hidden = shape.width, shape.hidden
    if half:
        if materialised:
            raise ValueError('materialised attention is not counted in mixed precision')
        widths, hiddens = (
            (10 if value_path else 16, 6) if shape.eva02 else (7 if value_path else 10, 2)
        )
        in_float32 = (8 if shape.eva02 else 4) + (0 if value_path else shape.heads)
        return (2 * (widths * width + hiddens * hidden) + 4 * in_float32) * tokens
    if shape.eva02:
        numbers = (6 if value_path else 9) * width + 5 * hidden + 8
    else:
        packed = 1 if materialised and not value_path else 0
        numbers = ((5 if value_path else 8) + packed) * width + 2 * hidden + 4
    if not value_path:
        numbers += shape.heads * (tokens if materialised else 1)
    return 4 * numbers * tokens


def dense_activation_bytes(
    tokens: int,
    shape: ViTShape,
    unlocked: int | None = None,
    materialised: bool = False,
    checkpointing: bool = False,
    half: bool = False,
) -> int:
    """Bytes that autograd keeps at most while dense features are trained, for one image.

    With checkpointing that is the input of each block that trains and all of one block.

    Args:
        tokens: With the prefix, L.
        shape: Of the tower.
        unlocked: Blocks that train; None for all.
        materialised: See ``block_activation_bytes``.
        checkpointing: Whether blocks are run once more in the backward.
        half: See ``block_activation_bytes``.
    """
    unlocked = shape.depth if unlocked is None else unlocked
    if not unlocked:
        return 0
    # Norm and normalisation; the norm keeps float32.
    head = (4 * shape.width + (2 if half else 4) * (shape.dim + 4)) * tokens
    one = block_activation_bytes(tokens, shape, False, materialised, half)
    if checkpointing:  # EVA-02 adds in float32, CLIP's norms give back the dtype that they got
        return head + unlocked * shape.width * tokens * (2 if half and not shape.eva02 else 4) + one
    last = block_activation_bytes(tokens, shape, True, materialised, half)
    return head + (unlocked - 1) * one + last


@dataclass(frozen=True)
class StepBytes:
    """Bytes that a distillation step has to hold.

    Attributes:
        weights: Of student and teacher.
        gradients: Of what trains.
        optimizer: AdamW's two moments of what trains.
        activations: Kept for the backward.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        """All of it, as if held at once."""
        return self.weights + self.gradients + self.optimizer + self.activations


def distillation_bytes(
    shape: ViTShape,
    student_side: int,
    images: int = 1,
    unlocked: int | None = None,
    materialised: bool = False,
    checkpointing: bool = False,
    teacher_itemsize: int = 4,
    half: bool = False,
) -> StepBytes:
    """What one process of CLIPSelf holds, weights and moments in fp32.

    Args:
        shape: Of student and teacher.
        student_side: Pixels a side of the student's square images.
        images: Images of the batch.
        unlocked: Blocks that train; None for all.
        materialised: Whether attention keeps its weights.
        checkpointing: Whether blocks are run once more in the backward.
        teacher_itemsize: Bytes of a weight of the teacher.
        half: See ``block_activation_bytes``.
    """
    trained = 4 * trained_parameters(shape, unlocked)
    tokens = shape.tokens(student_side)
    return StepBytes(
        weights=(4 + teacher_itemsize) * tower_parameters(shape),
        gradients=trained,
        optimizer=2 * trained,
        activations=images
        * dense_activation_bytes(tokens, shape, unlocked, materialised, checkpointing, half),
    )


def adamw_bytes(parameters: int) -> int:
    """Bytes a fused AdamW reads (weight, gradient, two moments) and writes (all but gradients)."""
    return (4 + 3) * 4 * parameters
