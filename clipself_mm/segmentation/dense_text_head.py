"""Head that classifies every token by class embeddings, without trained weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from mmseg.registry import DATASETS
from torch import Tensor, nn

from clipself_mm.clip import TextEmbeddings
from clipself_mm.clip.exemplar_embedding import ExemplarEmbedding
from clipself_mm.models import find_vocabulary, name_classes


def dense_logits(dense: Tensor, text: Tensor, temperature: float) -> Tensor:
    """Temperature times the cosine of every token with every class.

    Args:
        dense: Dense map, not necessarily normalised, shape (N, D, h, w).
        text: Class embeddings, shape (K, D).
        temperature: Factor of the cosines.

    Returns:
        Shape (N, K, h, w), float32.
    """
    # In half precision 100 * cosine has an error of 0.05.
    with torch.autocast(dense.device.type, enabled=False):
        unit = F.normalize(dense.float(), dim=1)
        return temperature * torch.einsum('ndhw,kd->nkhw', unit, text.float())


@MODELS.register_module()
class DenseTextHead(nn.Module):
    """Decode head of a `ZeroShotSegmentor`; it has no weights.

    Args:
        vocabulary: The classes, see `find_vocabulary`.
        embeddings: File of class embeddings, see `TextEmbeddings`.
        text: Arguments of `TextTower`, see `TextEmbeddings`; that of the segmentor's CLIP by
            default.
        temperature: Factor between cosines and logits. It affects the probabilities that
            `prob_thr` is compared with, not the argmax.

    Attributes:
        text: The class embeddings.
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
        found = find_vocabulary(vocabulary, DATASETS)
        self.text = TextEmbeddings(found.classes, embeddings, text, found.synonyms)
        self.temperature = temperature

    @property
    def classes(self) -> tuple[str, ...]:
        """The K class names; label i is `classes[i]`."""
        return self.text.classes

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.classes)

    @property
    def out_channels(self) -> int:
        """K."""
        return len(self.classes)

    def set_classes(
        self, classes: Sequence[str], exemplars: Mapping[str, ExemplarEmbedding] | None = None
    ) -> None:
        """Change the classes; a text tower encodes those that a file of embeddings lacks.

        Args:
            classes: K names.
            exemplars: Pictures of some of them, see `TextEmbeddings.set_classes`; by default none.

        Raises:
            ValueError: There is no name, or a name is empty, occurs twice or cannot be encoded.
        """
        self.text.set_classes(name_classes(classes).classes, exemplars=exemplars or {})

    def forward(self, dense: Tensor) -> Tensor:
        """Logits at token resolution, (N, D, h, w) -> (N, K, h, w)."""
        return dense_logits(dense, self.text.table, self.temperature)

    def extra_repr(self) -> str:
        """Number of classes and temperature, for printing."""
        return f'{self.num_classes} classes, temperature {self.temperature:g}'
