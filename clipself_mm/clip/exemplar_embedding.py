"""Embedding of a class that is given by pictures, alone or with its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class ExemplarEmbedding(NamedTuple):
    """Mean of the unit embeddings of a class's pictures, and its weight beside the name.

    Attributes:
        vector: Unit vector, shape (D).
        weight: Share of the pictures in 0-1; at 1 the name has no effect and is not encoded.
    """

    vector: Tensor
    weight: float = 1.0

    def blend(self, name: Tensor) -> Tensor:
        """Unit vectors of pictures and name together, in the form of MM-OVOD's sum of both.

        Kaul et al. 2023, arXiv 2306.05493, section 3.4, with a weight.

        Args:
            name: Unit embeddings of the name, shape (..., D).

        Returns:
            `(1 - weight) * name + weight * vector`, normalised, shape (..., D).
        """
        return F.normalize(torch.lerp(name, self.vector.to(name), self.weight), dim=-1)


def mean_direction(vectors: Tensor | Sequence[Tensor]) -> Tensor:
    """Mean of unit vectors, normalised.

    Args:
        vectors: N vectors of any length, shape (N, D); each counts as a unit vector.

    Returns:
        Unit vector, shape (D).
    """
    stacked = vectors if isinstance(vectors, Tensor) else torch.stack(list(vectors))
    return F.normalize(F.normalize(stacked, dim=-1).mean(dim=0), dim=-1)


def check_weight(weight: float) -> float:
    """Check the weight of exemplars.

    Raises:
        ValueError: It is not in 0-1.
    """
    if not 0 <= weight <= 1:
        raise ValueError(f'the weight of exemplars is 0 to 1, got {weight}')
    return float(weight)
