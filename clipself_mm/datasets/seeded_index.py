"""The index a sampler hands to a data set, with what makes its random choices repeatable.

A random choice that depends on the state of a worker process is lost when a run is resumed. An
index that says which draw of which run it belongs to needs no state.
"""

from __future__ import annotations

import numpy as np


class SeededIndex(int):
    """An index into a data set that remembers the draw it came from.

    It is an `int` and is used as one. Data set wrappers turn the index of the whole into the
    index of a part by `-` (`ConcatDataset`) or `%` (`RepeatDataset`); both keep the memory, so
    that two parts, or two repetitions, make different choices.

    Args:
        index: Position in the data set.
        seed: Seed of the run.
        number: Epoch, or pass over the data in an endless stream.
        origin: Index the sampler drew; `index` when None.

    Attributes:
        seed: As the argument.
        number: As the argument.
        origin: As the argument.
    """

    seed: int
    number: int
    origin: int

    def __new__(
        cls, index: int, seed: int = 0, number: int = 0, origin: int | None = None
    ) -> SeededIndex:
        """Make the index; see the class for the arguments."""
        draw = super().__new__(cls, index)
        draw.seed = int(seed)
        draw.number = int(number)
        draw.origin = int(index if origin is None else origin)
        return draw

    @classmethod
    def of(cls, index: int) -> SeededIndex:
        """Return a draw as it is; a plain index counts as seed 0, number 0."""
        return index if isinstance(index, cls) else cls(index)

    @property
    def key(self) -> tuple[int, int, int]:
        """The three numbers (seed, number, origin) every random choice is made from."""
        return self.seed, self.number, self.origin

    def moved_to(self, index: int) -> SeededIndex:
        """Return the same draw at another index."""
        return SeededIndex(index, self.seed, self.number, self.origin)

    def __sub__(self, other: int) -> SeededIndex:
        """Return the same draw, `other` places earlier."""
        return self.moved_to(int(self) - int(other))

    def __mod__(self, other: int) -> SeededIndex:
        """Return the same draw in a data set of `other` samples."""
        return self.moved_to(int(self) % int(other))

    def __reduce__(self) -> tuple:
        """Pickle with the memory: indices travel to worker processes."""
        return SeededIndex, (int(self), self.seed, self.number, self.origin)


def rng_from_key(key: tuple[int, int, int]) -> np.random.Generator:
    """Return the random generator of one sample.

    Args:
        key: (seed, number, origin) of its draw, see `SeededIndex.key`.

    Returns:
        A generator in its first state: equal keys give equal choices in any process.
    """
    return np.random.default_rng([int(part) for part in key])
