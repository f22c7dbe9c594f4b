"""A draw that says which of several streams it is read from."""

from __future__ import annotations

from ..draw import Draw


class LaneDraw(Draw):
    """A `Draw` of `ShardedImages`.

    The lane decides which open shard serves it, never what is drawn.

    Args:
        index: See `Draw`.
        seed: See `Draw`.
        number: See `Draw`.
        lane: Number of the stream in its process.

    Attributes:
        lane: As the argument.
    """

    lane: int

    def __new__(cls, index: int, seed: int = 0, number: int = 0, lane: int = 0) -> LaneDraw:
        """Make the index; see the class for the arguments."""
        draw = super().__new__(cls, index, seed, number)
        draw.lane = int(lane)
        return draw

    def __reduce__(self) -> tuple:
        """Pickle with the lane."""
        return LaneDraw, (int(self), self.seed, self.number, self.lane)
