"""Embeddings of whole sentences by the frozen text tower of a CLIP."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from .text_tower import TextTower


class CaptionEncoder:
    """Encodes captions as they are, without prompts.

    Not a module: the text tower belongs to no model's weights. It is built when the first caption
    comes.

    Args:
        text: Arguments of `TextTower`; None if the model has none, an error of the first caption.
    """

    def __init__(self, text: dict | None) -> None:
        self.text = text

    @cached_property
    def tower(self) -> TextTower:
        """The text tower, frozen; errors as in `TextTower`."""
        if self.text is None:
            raise ValueError(
                'there is no text tower to encode captions: give the tower a checkpoint, or '
                '`model.text` (a CLIP model and its checkpoint)'
            )
        return TextTower(**self.text)

    @torch.no_grad()
    def encode(self, captions: Sequence[str], device: torch.device | str = 'cpu') -> Tensor:
        """Unit embeddings of T captions, shape (T, D), computed and left on ``device``."""
        tower = self.tower.to(device)
        tokens = tower.tokenizer(list(captions)).to(device)
        with torch.autocast(tokens.device.type, enabled=False):
            return F.normalize(tower.encode_text(tokens).float(), dim=-1)
