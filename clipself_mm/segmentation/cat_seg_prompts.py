"""Text embeddings of classes prompt by prompt, as the cost volume of CAT-Seg takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from clipself_mm.clip import (
    PROMPT_TEMPLATES,
    TextEmbeddings,
    TextTower,
    VisionTower,
    expand_prompts,
)
from clipself_mm.clip.attention_unlock import unlock_text_attention
from clipself_mm.clip.prompts import check_templates, read_templates
from clipself_mm.clip.text_tower import encode_short

PROMPTS = ('A photo of a {} in the scene',)
"""The one prompt of CAT-Seg's public code."""
FINETUNE = ('attention', 'none')
BATCH = 512
"""Prompts a pass of the text tower, where nothing trains."""
LONG = 4
"""Passes from which on a bar shows how far they are."""


class CATSegPrompts(TextEmbeddings):
    """Embeddings of classes, one for each prompt: a table of shape (K, P, D).

    Of a class that is several names with commas (`building, edifice`) the first is taken.

    With `finetune='attention'` the query and value weights of the text tower train, as those of the
    image tower do: in training mode embeddings are made anew and with a gradient in each step, in
    eval mode once for each vocabulary, until the weights can have changed (a training, a loaded
    checkpoint). The tower is then part of checkpoints. With 'none' it is not.

    Args:
        text: Arguments of `TextTower`; without, that of the tower of `use_clip_of`.
        embeddings: A file of class embeddings (`TextEmbeddings`); it holds means over prompts, so
            `templates` must be None, and nothing of it trains.
        templates: 'vild' for the 63 prompts of the package, a `.json` or `.txt` file of prompts, a
            list of them, or None for the mean over the 63, which is then the only prompt.
        synonyms: Other names of classes, averaged into what the text tower computes.
        finetune: 'attention' or 'none'; with None templates 'none'.

    Attributes:
        tower: The text tower that trains, or None.

    Raises:
        FileNotFoundError: The file of prompts is missing.
        NotImplementedError: The text tower cannot be fine-tuned.
        ValueError: A template has no place for the class, there are templates and a file of
            embeddings, or what is to train cannot.
    """

    def __init__(
        self,
        text: dict | None = None,
        embeddings: str | None = None,
        templates: str | Sequence[str] | None = PROMPTS,
        synonyms: Mapping[str, Sequence[str]] | None = None,
        finetune: str = 'attention',
    ) -> None:
        super().__init__((), embeddings, text, synonyms)
        self.tower: TextTower | None = None
        self.templates = read_prompt_set(templates)
        self.trains = finetune == 'attention'
        if finetune not in FINETUNE:
            raise ValueError(f'finetune is one of {", ".join(FINETUNE)}, got {finetune!r}')
        if embeddings is not None and self.templates is not None:
            raise ValueError(
                f'{embeddings} holds one vector a class, not one a prompt: expected '
                f'templates=None with it, got {len(self.templates)} templates'
            )
        if self.trains and self.templates is None:
            raise ValueError(
                'templates=None is the mean of embeddings that do not train: expected '
                "finetune='none' with it, or templates with finetune='attention'"
            )
        self._load_tower()

    @property
    def count(self) -> int:
        """Prompts a class, P."""
        return 1 if self.templates is None else len(self.templates)

    @property
    def encodes_anew(self) -> bool:
        """Whether there is no table now, since each step changes the text tower."""
        return self.tower is not None and self.training

    def use_clip_of(self, tower: VisionTower, key: str) -> None:
        """As `TextEmbeddings.use_clip_of`; a text tower that trains is loaded now."""
        super().use_clip_of(tower, key)
        self._load_tower()

    def train(self, mode: bool = True) -> CATSegPrompts:
        """Set the mode; the tower's modules stay in eval. What training outdates is forgotten."""
        if self.tower is not None and mode:
            self._forget()
        super().train(mode)
        if self.tower is not None:
            self.tower.eval()
        return self

    def forward(self, classes: Sequence[str]) -> Tensor:
        """Unit embeddings of the prompts of classes; errors as in `encode`.

        Args:
            classes: K names.

        Returns:
            Shape (K, P, D), with a gradient in training where the text tower trains.
        """
        if self.encodes_anew:
            rows = self._embed(self.tower, classes)
            self._check_width(rows)
            return rows
        self.set_classes(classes)
        return self.table if self.templates is not None else self.table[:, None]

    @property
    def _can_encode(self) -> bool:
        return super()._can_encode and not self.encodes_anew

    def _load_tower(self) -> None:
        if self.trains and self.tower is None and self.text is not None:
            self.tower = self._text_tower()
            unlock_text_attention(self.tower.text)

    def _load_from_state_dict(self, *args: object) -> None:
        super()._load_from_state_dict(*args)
        self._forget()

    def _compute(self, classes: Sequence[str]) -> Tensor:
        """Embeddings of K names, shape (K, P, D), or (K, D) where there is no set of prompts."""
        if self.templates is None:
            return super()._compute(classes)
        return self._embed(self.tower or self._text_tower().to(self.device), classes, BATCH)

    def _embed(self, tower: TextTower, classes: Sequence[str], batch: int | None = None) -> Tensor:
        """Embeddings by a text tower, `batch` prompts a pass, shape (K, P, D)."""
        names = [(name.split(', ')[0], *self.synonyms.get(name, ())) for name in classes]
        prompts = [
            prompt
            for own in names
            for name in own
            for prompt in expand_prompts(name, self.templates)
        ]
        device = next(tower.parameters()).device
        tokens = tower.tokenizer(prompts).to(device).split(batch or len(prompts))
        # Single precision: autocast of torch 2.1 refuses the causal mask of the tower, a float one.
        with torch.autocast(device.type, enabled=False):
            rows = [
                encode_short(tower.text, part)
                for part in tqdm(tokens, desc='prompts', disable=len(tokens) < LONG)
            ]
        by_name = F.normalize(torch.cat(rows).float(), dim=-1).unflatten(0, (-1, self.count))
        of_classes = by_name.split([len(own) for own in names])
        return torch.stack([F.normalize(own.mean(dim=0), dim=-1) for own in of_classes])


def read_prompt_set(templates: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """The prompts that `CATSegPrompts` is given by name, by file or as they are."""
    if templates is None:
        return None
    if isinstance(templates, str):
        return PROMPT_TEMPLATES if templates == 'vild' else read_templates(templates)
    return check_templates(list(templates))
