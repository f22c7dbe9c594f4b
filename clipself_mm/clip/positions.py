"""Position tables of ViTs for any token grid, as pure functions: learned (resized) and RoPE.

Imports nothing of this package, so that `weights/` may use it.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_is_compiling = getattr(torch.compiler, 'is_compiling', lambda: False)  # not in torch 2.1


def token_grid(features: Tensor) -> tuple[int, int]:
    """(h, w) of a map, shape (N, C, h, w), as ints also under tracing."""
    height, width = features.shape[-2:]
    return int(height), int(width)


def resize_positions(positions: Tensor, grid: tuple[int, int], prefix: int = 1) -> Tensor:
    """Resize learned absolute positions to a token grid; the prefix is unchanged.

    Bicubic without antialiasing, as in the training of the released CLIPSelf weights.

    Args:
        positions: The prefix, then a square grid row by row, shape (P + L, C).
        grid: (rows, columns) of tokens.
        prefix: Entries P before the grid: 1 for a class token (or the mean token of a CLIP
            ResNet), 0 for none.

    Returns:
        Shape (P + rows * columns, C).
    """
    length = int(positions.shape[0]) - prefix
    side = math.isqrt(max(length, 0))
    if side * side != length:
        raise ValueError(
            f'expected {prefix} + a square number of positions, found {positions.shape[0]}'
        )
    if (side, side) == tuple(grid):
        return positions
    table = positions[prefix:].T.reshape(1, -1, side, side)
    table = F.interpolate(table.float(), size=grid, mode='bicubic', align_corners=False)
    table = table.flatten(2)[0].T.to(positions.dtype)
    return torch.cat([positions[:prefix], table])


def rope_table(
    grid: tuple[int, int],
    head_dim: int,
    pretrained_side: int = 16,
    theta: float = 10000.0,
    offset: float = 0.0,
    columns_first: bool = False,
    device: torch.device | str | None = None,
) -> tuple[Tensor, Tensor]:
    """Sine and cosine tables of the 2D RoPE of EVA-02 and PE-Core.

    Positions of each axis are scaled to the side of the pre-training grid, so that an image of any
    size or aspect ratio has the range of angles of pre-training. The first half of a head's
    channels rotates with the row, the second with the column; neighbouring channels are a pair.

    Args:
        grid: (rows, columns) of tokens.
        head_dim: Channels of one attention head, divisible by 4.
        pretrained_side: Tokens per side of the pre-training grid (16 in every EVA-02 CLIP).
        theta: Base of the frequencies.
        offset: Added to the index of a row or column (1 in PE-Core with a class token).
        columns_first: Whether the first half of the channels rotates with the column (PE-Core).
        device: Device of the tables.

    Returns:
        (sine, cosine), each of shape (rows * columns, head_dim).
    """
    half = head_dim // 2
    frequencies = theta ** (-torch.arange(0, half, 2, device=device).float() / half)

    def angles(count: int) -> Tensor:
        steps = (torch.arange(count, device=device).float() + offset) / count * pretrained_side
        return torch.outer(steps, frequencies).repeat_interleave(2, dim=-1)

    rows, columns = grid
    halves = [
        angles(rows)[:, None].expand(rows, columns, half),
        angles(columns)[None].expand(rows, columns, half),
    ]
    table = torch.cat(halves[::-1] if columns_first else halves, dim=-1).flatten(0, 1)
    return table.sin(), table.cos()


def rope_pairs(sine: Tensor, cosine: Tensor, prefix: int = 0) -> Tensor:
    """Interleave cosine and sine, so that RoPE is a complex multiplication.

    Args:
        sine: From ``rope_table``, shape (L, head_dim).
        cosine: From ``rope_table``, shape (L, head_dim).
        prefix: Number of tokens P before the patches, which have angle 0.

    Returns:
        Shape (P + L, head_dim / 2, 2).
    """
    rope = torch.stack([cosine[:, ::2], sine[:, ::2]], dim=-1)
    identity = rope.new_tensor([1.0, 0.0]).expand(prefix, *rope.shape[1:])
    return torch.cat([identity, rope])


def apply_rope(features: Tensor, rope: Tensor) -> Tensor:
    """Rotate neighbouring channel pairs by the angles of the tables, in float32 or float64.

    The complex product is one pass over memory; four real products are ten, unless they are
    compiled into one kernel.

    Args:
        features: Queries or keys, shape (N, L, heads, head_dim).
        rope: From ``rope_pairs``, shape (L, head_dim / 2, 2).

    Returns:
        Same shape, dtype and memory layout as ``features``.
    """
    full = features if features.dtype == torch.float64 else features.float()
    pairs, rope = full.unflatten(-1, (-1, 2)), rope[:, None]
    # Neither ONNX nor the compiler has complex numbers.
    if torch.onnx.is_in_onnx_export() or _is_compiling():
        (real, imaginary), (cosine, sine) = pairs.unbind(-1), rope.unbind(-1)
        parts = [real * cosine - imaginary * sine, imaginary * cosine + real * sine]
        rotated = torch.stack(parts, dim=-1)
    else:
        rotated = torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(rope))
    return rotated.flatten(-2).to(features.dtype)
