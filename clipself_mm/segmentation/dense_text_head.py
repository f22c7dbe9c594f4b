"""Text as the classifier of every token: the head of a segmentor that trains nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from mmseg.registry import DATASETS
from torch import Tensor, nn

from clipself_mm.clip import TextEmbeddings
from clipself_mm.models import find_vocabulary, name_classes


def dense_logits(dense: Tensor, text: Tensor, temperature: float) -> Tensor:
    """Temperature times the cosine of every token with every class.

    Args:
        dense: Dense features, of any length, shape (N, D, h, w).
        text: Unit embeddings of the classes, shape (K, D).
        temperature: Factor.

    Returns:
        Shape (N, K, h, w), float32.
    """
    with torch.autocast(dense.device.type, enabled=False):  # in half, 100 x cos is off by .05
        unit = F.normalize(dense.float(), dim=1)
        return temperature * torch.einsum('ndhw,kd->nkhw', unit, text.float())


@MODELS.register_module()
class DenseTextHead(nn.Module):
    """Takes the place of mmseg's `decode_head`; it has no weights.

    Args:
        vocabulary: The classes, see `find_vocabulary`.
        embeddings: File of class embeddings, see `TextEmbeddings`.
        text: Arguments of `TextTower`, see `TextEmbeddings`. Without, `ZeroShotSegmentor` gives the
            text tower of its CLIP.
        temperature: Between cosines and logits; it decides nothing but what `prob_thr` compares.

    Attributes:
        text: Their embeddings.
    """

    align_corners = False

    def __init__(
        self,
        vocabulary: str | Sequence[str],
        embeddings: str | None = None,
        text: dict | None = None,
        temperature: float = 100.0,
    ) -> None:
        super().__init__()
        words = find_vocabulary(vocabulary, DATASETS)
        self.text = TextEmbeddings(words.classes, embeddings, text, words.synonyms)
        self.temperature = temperature

    @property
    def classes(self) -> tuple[str, ...]:
        """The K names, in the order of their labels."""
        return self.text.classes

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.classes)

    @property
    def out_channels(self) -> int:
        """K."""
        return len(self.classes)

    def set_classes(self, classes: Sequence[str]) -> None:
        """Change the classes; a file of embeddings may lack them if there is a text tower.

        Args:
            classes: K names.

        Raises:
            ValueError: There is no name, or one is empty or doubled or cannot be encoded.
        """
        self.text.set_classes(name_classes(classes).classes)

    def forward(self, dense: Tensor) -> Tensor:
        """Logits at token resolution, (N, D, h, w) -> (N, K, h, w)."""
        return dense_logits(dense, self.text.table, self.temperature)

    def extra_repr(self) -> str:
        """Number of classes and temperature, for printing."""
        return f'{self.num_classes} classes, temperature {self.temperature:g}'
