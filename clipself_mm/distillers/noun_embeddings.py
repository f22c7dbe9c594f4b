"""The text side of region-text pairs: nouns and their embeddings, read or computed once."""

from __future__ import annotations

import torch
from torch import Tensor

from clipself_mm.clip import ClassEncoder
from clipself_mm.datasets import load_nouns


class NounEmbeddings:
    """Unit embeddings of a vocabulary of nouns.

    Not a module: like a file of class embeddings, they are no part of a model's weights.

    Args:
        vocabulary: The nouns, see `load_nouns`.
        embeddings: File of their embeddings. Otherwise they are computed on first use.
        text: Arguments of ``TextTower``: the CLIP whose text tower computes them.

    Raises:
        ValueError: Not exactly one of ``embeddings`` and ``text`` is given.
    """

    def __init__(
        self, vocabulary: str, embeddings: str | None = None, text: dict | None = None
    ) -> None:
        if (embeddings is None) == (text is None):
            raise ValueError('give either a file of embeddings of the nouns or a text tower')
        words = load_nouns(vocabulary)
        self.names = words.classes
        self.encoder = ClassEncoder(embeddings, text, words.synonyms)
        self._table: Tensor | None = None

    def table(self, features: Tensor) -> Tensor:
        """Embeddings that region features can be compared with.

        Args:
            features: Shape (R, D); they say the device and the width.

        Returns:
            Unit vectors, shape (K, D).

        Raises:
            FileNotFoundError: The file or the text tower's checkpoint is missing.
            ValueError: The file lacks a noun, or the embeddings are of another width than D.
        """
        device = features.device
        if self._table is None:
            with torch.no_grad(), torch.autocast(device.type, enabled=False):
                self._table = self.encoder.encode(self.names, device)
        if self._table.shape[1] != features.shape[1]:
            raise ValueError(
                f'{self.encoder.source}: embeddings have {self._table.shape[1]} channels, the '
                f"tower's features {features.shape[1]}: they are not of one CLIP"
            )
        self._table = self._table.to(device)
        return self._table
