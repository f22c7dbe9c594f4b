"""Text as a classifier: the layer that takes the place of a detector's last linear one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from clipself_mm.clip import ClassEncoder
from clipself_mm.clip.class_embeddings import BACKGROUND


@MODELS.register_module()
class TextClassifier(nn.Module):
    """Temperature times the cosine between a feature and the classes' text embeddings.

    Goes into `cls_predictor_cfg` of an mmdet box head (F-VLM; learned temperature and
    background last as in the authors' release). The embeddings are a buffer that is no part of
    checkpoints: they follow from the config, so another vocabulary needs no other weights.

    Args:
        in_features: Width of the feature, which is CLIP's D; set by the head.
        out_features: Classes and background, K + 1; set by the head.
        embeddings: File of class embeddings, see `ClassEncoder`.
        text: Arguments of `TextTower`, see `ClassEncoder`. Without, `FViT` gives the text tower of
            its backbone's CLIP.
        background: 'text' for the embedding of the word, 'learned' for a vector that trains, starts
            as CLIM's (Xavier) and is normalised as the embeddings are. CLIP's side of the fusion
            compares with the same vector, as in CLIM.
        temperature: Its value, or where it starts from.
        learn_temperature: Whether it trains.
        synonyms: Other names of classes, see `ClassEncoder`. Without, `FViTBBoxHead` gives those of
            its vocabulary.

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
        self.encoder = ClassEncoder(embeddings, text, synonyms)
        self.classes: tuple[str, ...] = ()
        table = torch.zeros(out_features, in_features)
        self.register_buffer('text_embeddings', table, persistent=False)
        self.background = None
        if background == 'learned':
            start = nn.init.xavier_uniform_(torch.empty(in_features, 1))
            self.background = nn.Parameter(start.flatten())
        self.temperature: nn.Parameter | float = float(temperature)
        if learn_temperature:
            self.temperature = nn.Parameter(torch.tensor(float(temperature)))
        self._encode: Callable[..., Tensor] | None = None

    def set_classes(self, classes: Sequence[str], new: bool = False) -> None:
        """Say which classes the columns stand for, in this order.

        Their embeddings are read or computed when the first feature arrives, on its device.

        Args:
            classes: K names.
            new: Whether a file of embeddings may lack them, see `ClassEncoder.encode_new`.
        """
        self.classes = tuple(classes)
        self._encode = self.encoder.encode_new if new else self.encoder.encode

    def similarity(self, features: Tensor) -> Tensor:
        """Cosine with the K classes and the background.

        Args:
            features: Not normalised, shape (R, D); a row of zeros gives zeros.

        Returns:
            Shape (R, K + 1).
        """
        table = self.table(features.device)
        with torch.autocast(features.device.type, enabled=False):  # in half, 50 x cos is off by .2
            return F.normalize(features.float(), dim=-1) @ table.float().T

    def forward(self, features: Tensor) -> Tensor:
        """Logits of features of shape (R, D), shape (R, K + 1)."""
        return self.temperature * self.similarity(features)

    def table(self, device: torch.device) -> Tensor:
        """Unit embeddings of classes and background, shape (K + 1, D)."""
        if self._encode is not None:
            with torch.no_grad(), torch.autocast(device.type, enabled=False):
                self.text_embeddings = self._read(self._encode, device)
            self._encode = None
        if self.background is None:
            return self.text_embeddings
        background = F.normalize(self.background.float(), dim=0)
        return torch.cat([self.text_embeddings[:-1], background[None]])

    def _read(self, encode: Callable[..., Tensor], device: torch.device) -> Tensor:
        spoken = self.classes if self.background is not None else (*self.classes, BACKGROUND)
        rows = encode(spoken, device)
        width = self.text_embeddings.shape[1]
        if rows.shape[1] != width:
            raise ValueError(
                f'{self.encoder.source}: embeddings have {rows.shape[1]} channels, the features '
                f'{width}: fc_out_channels of the head is the dimension of the CLIP'
            )
        table = rows.new_zeros(len(self.classes) + 1, width)
        table[: len(rows)] = rows
        return table

    def extra_repr(self) -> str:
        """Shape and temperature, for printing."""
        rows, width = self.text_embeddings.shape
        kind = 'learned' if isinstance(self.temperature, nn.Parameter) else 'fixed'
        return f'{rows} x {width}, {kind} temperature'
