"""An index that carries the seed of a sample's random choices.

Random choices that depend on the state of a worker process change when a run is resumed. Choices
that depend on the index alone need no state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Self


class SeededIndex(int):
    """An index into a dataset, with the seed of the sample's random choices.

    It is an `int`. Dataset wrappers map the index to one of a part by `-` (`ConcatDataset`) or `%`
    (`RepeatDataset`). Both keep the seed and `origin`, so that parts and repetitions make different
    choices.

    Args:
        index: Position in the dataset.
        seed: Seed of the run.
        number: Epoch, or pass over the data in an infinite stream.
        origin: Index that the sampler gave; `index` when None.
    """

    seed: int
    number: int
    origin: int

    def __new__(cls, index: int, seed: int = 0, number: int = 0, origin: int | None = None) -> Self:
        """Make the index; see the class for the arguments."""
        seeded = super().__new__(cls, index)
        seeded.seed = int(seed)
        seeded.number = int(number)
        seeded.origin = int(index if origin is None else origin)
        return seeded

    @classmethod
    def of(cls, index: int) -> SeededIndex:
        """Return a seeded index unchanged; a plain index gets seed 0, number 0."""
        return index if isinstance(index, cls) else cls(index)

    @property
    def key(self) -> tuple[int, int, int]:
        """(seed, number, origin): all random choices of the sample depend on these only."""
        return self.seed, self.number, self.origin

    def moved_to(self, index: int) -> SeededIndex:
        """Return another position with the same key."""
        return SeededIndex(index, self.seed, self.number, self.origin)

    def __sub__(self, other: int) -> SeededIndex:
        """Return the difference with the same key."""
        return self.moved_to(int(self) - int(other))

    def __mod__(self, other: int) -> SeededIndex:
        """Return the remainder with the same key."""
        return self.moved_to(int(self) % int(other))

    def __reduce__(self) -> tuple:
        """Pickle with the key, for worker processes."""
        return SeededIndex, (int(self), self.seed, self.number, self.origin)


def rng_from_key(key: tuple[int, int, int]) -> np.random.Generator:
    """Return the random generator of one sample.

    Args:
        key: (seed, number, origin), see `SeededIndex.key`.

    Returns:
        A new generator: equal keys give equal choices in any process.
    """
    return np.random.default_rng([int(part) for part in key])
