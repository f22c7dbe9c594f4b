"""Text as a classifier: the layer that takes the place of a detector's last linear one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from clipself_mm.clip import TextEmbeddings
from clipself_mm.clip.class_embeddings import BACKGROUND


@MODELS.register_module()
class TextClassifier(nn.Module):
    """Temperature times the cosine between a feature and the classes' text embeddings.

    Goes into `cls_predictor_cfg` of an mmdet box head (F-VLM; learned temperature and
    background last as in the authors' release). The embeddings are no part of checkpoints.

    Args:
        in_features: Width of the feature, which is CLIP's D; set by the head.
        out_features: Classes and background, K + 1; set by the head.
        embeddings: File of class embeddings, see `TextEmbeddings`.
        text: Arguments of `TextTower`, see `TextEmbeddings`. Without, `FViT` gives the text tower
            of its backbone's CLIP.
        background: 'text' for the embedding of the word, 'learned' for a vector that trains, starts
            as CLIM's (Xavier) and is normalised as the embeddings are. CLIP's side of the fusion
            compares with the same vector, as in CLIM.
        temperature: Its value, or where it starts from.
        learn_temperature: Whether it trains.
        synonyms: Other names of classes, see `TextEmbeddings`. Without, `FViTBBoxHead` gives those
            of its vocabulary.

    Attributes:
        text: Embeddings of the classes and, unless that is learned, of the background.

    Raises:
        ValueError: `background` is neither.
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
            raise ValueError(f"background is 'text' or 'learned', not {background!r}")
        self.text = TextEmbeddings((), embeddings, text, synonyms, in_features)
        self.classes: tuple[str, ...] = ()
        self.background = None
        if background == 'learned':
            start = nn.init.xavier_uniform_(torch.empty(in_features, 1))
            self.background = nn.Parameter(start.flatten())
        self.temperature: nn.Parameter | float = float(temperature)
        if learn_temperature:
            self.temperature = nn.Parameter(torch.tensor(float(temperature)))

    def set_classes(self, classes: Sequence[str], new: bool = False) -> None:
        """Say which classes the columns stand for, in this order.

        Args:
            classes: K names.
            new: As in `TextEmbeddings.set_classes`, whose errors are raised.
        """
        spoken = (*classes, BACKGROUND) if self.background is None else classes
        self.text.set_classes(spoken, new)
        self.classes = tuple(classes)

    def similarity(self, features: Tensor) -> Tensor:
        """Cosine with the K classes and the background.

        Args:
            features: Not normalised, shape (R, D); a row of zeros gives zeros.

        Returns:
            Shape (R, K + 1).
        """
        with torch.autocast(features.device.type, enabled=False):  # in half, 50 x cos is off by .2
            return F.normalize(features.float(), dim=-1) @ self.table().float().T

    def forward(self, features: Tensor) -> Tensor:
        """Logits of features of shape (R, D), shape (R, K + 1)."""
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
