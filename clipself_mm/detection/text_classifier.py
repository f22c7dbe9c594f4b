"""Text-embedding classifier, which replaces the last linear layer of a detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from clipself_mm.clip import TextEmbeddings
from clipself_mm.clip.class_embeddings import BACKGROUND
from clipself_mm.clip.exemplar_embedding import ExemplarEmbedding


@MODELS.register_module()
class TextClassifier(nn.Module):
    """Temperature times the cosine between a feature and the classes' text embeddings.

    Used as `cls_predictor_cfg` of an mmdet bbox head (F-VLM; learned temperature and background as
    last column, as in the official implementation). Embeddings are not saved in checkpoints.

    Args:
        in_features: Width of the feature, D of the CLIP; set by the head.
        out_features: Classes and background, K + 1; set by the head.
        embeddings: File of class embeddings, see `TextEmbeddings`.
        text: Arguments of `TextTower`, see `TextEmbeddings`; in `FViT` by default the text tower of
            the backbone's CLIP.
        background: 'text' for the embedding of the word "background", 'learned' for a trained
            vector with Xavier initialisation, which is L2-normalised. CLIP's scores use the same
            vector, as in CLIM.
        temperature: Value, or initial value.
        learn_temperature: Whether the temperature trains.
        synonyms: Other names of classes, see `TextEmbeddings`; in `FViTBBoxHead` by default those
            of the vocabulary.

    Attributes:
        text: Embeddings of the classes and, if `background='text'`, of the background.

    Raises:
        ValueError: `background` is neither 'text' nor 'learned'.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        embeddings: str | None = None,
        text: dict | None = None,
        background: str = 'text',
        temperature: float = 50.0,
        learn_temperature: bool = True,
        synonyms: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        super().__init__()
        if background not in ('text', 'learned'):
            raise ValueError(f"background must be 'text' or 'learned', got {background!r}")
        self.text = TextEmbeddings((), embeddings, text, synonyms, in_features)
        self.classes: tuple[str, ...] = ()
        self.background = None
        if background == 'learned':
            initial = nn.init.xavier_uniform_(torch.empty(in_features, 1))
            self.background = nn.Parameter(initial.flatten())
        self.temperature: nn.Parameter | float = float(temperature)
        if learn_temperature:
            self.temperature = nn.Parameter(torch.tensor(float(temperature)))

    def set_classes(
        self,
        classes: Sequence[str],
        new: bool = False,
        exemplars: Mapping[str, ExemplarEmbedding] | None = None,
    ) -> None:
        """Set the classes of the columns.

        Args:
            classes: K names, in the order of the columns.
            new: As in `TextEmbeddings.set_classes`, whose errors are raised.
            exemplars: As there.
        """
        names = (*classes, BACKGROUND) if self.background is None else classes
        self.text.set_classes(names, new, exemplars)
        self.classes = tuple(classes)

    def similarity(self, features: Tensor) -> Tensor:
        """Cosines with the K classes and the background.

        Args:
            features: Not normalised, shape (R, D); a row of zeros gives zeros.

        Returns:
            Shape (R, K + 1).
        """
        # In half precision, 50 x cos is off by 0.2.
        with torch.autocast(features.device.type, enabled=False):
            return F.normalize(features.float(), dim=-1) @ self.table().float().T

    def forward(self, features: Tensor) -> Tensor:
        """Logits, shape (R, K + 1), of features of shape (R, D)."""
        return self.temperature * self.similarity(features)

    def table(self) -> Tensor:
        """Unit embeddings of classes and background, shape (K + 1, D)."""
        if self.background is None:
            return self.text.table
        background = F.normalize(self.background.float(), dim=0)
        return torch.cat([self.text.table, background[None]])

    def extra_repr(self) -> str:
        """Shape and temperature, for printing."""
        kind = 'learned' if isinstance(self.temperature, nn.Parameter) else 'fixed'
        return f'{len(self.classes) + 1} x {self.text.dim}, {kind} temperature'
