"""Re-ranking of an RPN's proposals at test time by generic words (NoOVD)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmdet.utils import InstanceList
from mmengine.registry import MODELS
from torch import Tensor, nn

from clipself_mm.clip import TextEmbeddings

FOREGROUND = (
    *('object', 'item', 'thing', 'product', 'gadget', 'device', 'machine', 'tool', 'utensil'),
    *('instrument', 'equipment', 'appliance', 'furniture', 'container', 'package', 'bag', 'toy'),
    *('vehicle', 'animal', 'creature', 'bird', 'insect', 'person', 'clothing', 'accessory'),
    *('food', 'fruit', 'potted plant', 'sign', 'ornament'),
)
"""Words for an object of any kind."""

BACKGROUND = (
    *('background', 'scenery', 'empty space', 'sky', 'cloud', 'fog', 'sea', 'water', 'ground'),
    *('floor', 'road', 'pavement', 'sand', 'dirt', 'snow', 'grass', 'field', 'forest', 'hill'),
    *('mountain', 'wall', 'ceiling', 'shadow', 'darkness', 'glare', 'reflection', 'texture'),
    *('pattern', 'blur', 'noise'),
)
"""Words for what is no object."""


@MODELS.register_module()
class GenericForeground(nn.Module):
    """Score of proposals: their objectness and how likely CLIP names them by a foreground word.

    Used as `proposal_scorer` of an `FViT`, at test time only; nothing trains. It ranks proposals
    by objectness^(1 - weight) * foreground^weight, where foreground is the sum of the foreground
    words' probabilities, in a softmax over all words. The idea is NoOVD's (arXiv 2603.21069), as
    third parties describe it; the words, the temperature and the weight are not the paper's.

    Args:
        weight: Weight of CLIP in the geometric mean, 0 to 1.
        keep: Proposals per image that are ranked, the RPN's best; `test_cfg.rpn.max_per_img` of
            them remain. By default twice as many as remain.
        temperature: Factor on the cosines.
        foreground: Words for objects.
        background: Words for what is no object.
        embeddings: File of embeddings of all words, see `TextEmbeddings`.
        text: Arguments of `TextTower`; by default the text tower of the backbone's CLIP.

    Raises:
        ValueError: `weight` is outside 0 to 1, a list is empty, or a word is not unique.
    """

    def __init__(
        self,
        weight: float = 0.5,
        keep: int | None = None,
        temperature: float = 100.0,
        foreground: Sequence[str] = FOREGROUND,
        background: Sequence[str] = BACKGROUND,
        embeddings: str | None = None,
        text: dict | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= weight <= 1:
            raise ValueError(f'proposal_scorer.weight must be from 0 to 1, got {weight}')
        words = (*foreground, *background)
        if not foreground or not background or len(set(words)) < len(words):
            raise ValueError(
                'proposal_scorer.foreground and proposal_scorer.background must have words, each '
                f'once in both together, got {list(foreground)} and {list(background)}'
            )
        self.weight = weight
        self.keep = keep
        self.temperature = temperature
        self.count = len(foreground)
        self.text = TextEmbeddings(words, embeddings, text)

    def foreground_scores(self, features: Tensor) -> Tensor:
        """Probability of the foreground words, shape (R), from features of shape (R, D)."""
        # In half precision, 100 x cos is off by 0.4.
        with torch.autocast(features.device.type, enabled=False):
            cosines = F.normalize(features.float(), dim=-1) @ self.text.table.float().T
            return (self.temperature * cosines).softmax(dim=-1)[:, : self.count].sum(dim=-1)

    def forward(
        self, proposals: InstanceList, features: Sequence[Tensor], count: int
    ) -> InstanceList:
        """Rank the proposals of each image.

        Args:
            proposals: The RPN's: `bboxes` and `scores` in 0-1, of R_i proposals each.
            features: Their features from the dense CLIP map, shape (R_i, D) each.
            count: Proposals that remain per image.

        Returns:
            The best of each image, best first, with their new scores.
        """
        ranked = []
        for found, own in zip(proposals, features, strict=True):
            foreground = self.foreground_scores(own)
            scores = found.scores ** (1 - self.weight) * foreground**self.weight
            best = scores.argsort(descending=True, stable=True)[:count]
            kept = found[best]
            kept.scores = scores[best]
            ranked.append(kept)
        return ranked

    def extra_repr(self) -> str:
        """Words and weight, for printing."""
        words = len(self.text.classes)
        return f'{self.count} foreground words of {words}, weight {self.weight}'
