"""Text as the classifier of every token: the head of a segmentor that trains nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from clipself_mm.clip import ClassEncoder

from .class_names import check_names, find_vocabulary


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
        embeddings: File of class embeddings, see `ClassEncoder`.
        text: Arguments of `TextTower`, see `ClassEncoder`. Without, `ZeroShotSegmentor` gives the
            text tower of its CLIP.
        temperature: Between cosines and logits; it decides nothing but what `prob_thr` compares.

    Attributes:
        classes: The K names, in the order of their labels.
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
        words = find_vocabulary(vocabulary)
        self.encoder = ClassEncoder(embeddings, text, words.synonyms)
        self.temperature = temperature
        self.classes = words.classes
        self._encode: Callable[..., Tensor] = self.encoder.encode
        self._table: Tensor | None = None

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
            ValueError: There is no name, or one is empty or doubled.
        """
        self.classes = check_names(classes).classes
        self._encode = self.encoder.encode_new
        self._table = None

    def table(self, device: torch.device) -> Tensor:
        """Unit embeddings of the classes, shape (K, D), read or computed once."""
        if self._table is None:
            with torch.no_grad(), torch.autocast(device.type, enabled=False):
                self._table = self._encode(self.classes, device)
        self._table = self._table.to(device)
        return self._table

    def forward(self, dense: Tensor) -> Tensor:
        """Logits at token resolution, (N, D, h, w) -> (N, K, h, w).

        Raises:
            FileNotFoundError: The embeddings or the text tower's checkpoint are missing.
            ValueError: The embeddings lack a class or have another width than the features.
        """
        text = self.table(dense.device)
        if text.shape[1] != dense.shape[1]:
            raise ValueError(
                f'{self.encoder.source}: embeddings have {text.shape[1]} channels, the features '
                f'{dense.shape[1]}: they are not of one CLIP'
            )
        return dense_logits(dense, text, self.temperature)

    def extra_repr(self) -> str:
        """Number of classes and temperature, for printing."""
        return f'{self.num_classes} classes, temperature {self.temperature:g}'
