"""What a ViT hands to its first block."""

from typing import Any, NamedTuple

from torch import Tensor


class Embedded(NamedTuple):
    """Tokens about to enter the first block, and what the blocks need to know of their places."""

    tokens: Tensor
    """Prefix (class token) first, then patches row by row, shape (N, P + h * w, C)."""
    grid: tuple[int, int]
    """(h, w)."""
    positions: Any
    """Rotary tables of ``turns_of``, or None where positions were added to the tokens."""
