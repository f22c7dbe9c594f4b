"""Text embeddings per class and prompt, the input of CAT-Seg's cost volume."""

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
from clipself_mm.clip.text_warnings import find_cut, warn_of_cut

PROMPTS = ('A photo of a {} in the scene',)
"""The prompt of CAT-Seg's official implementation."""
FINETUNE = ('attention', 'none')
BATCH = 512
"""Prompts per forward pass of a frozen text tower."""
LONG = 4
"""Number of passes from which on a progress bar is shown."""


class CATSegPrompts(TextEmbeddings):
    """One embedding per class and prompt: a table of shape (K, P, D).

    Of a class name that lists several names (`building, edifice`) only the first is used.

    With `finetune='attention'` the query and value weights of the text tower train, and checkpoints
    contain the text tower. In training mode each step encodes the classes with gradients. In eval
    mode a vocabulary is encoded once; the table is computed again after training or after loading
    a checkpoint. With `finetune='none'` the text tower is frozen and not part of checkpoints.

    Args:
        text: Arguments of `TextTower`; that of `use_clip_of` by default.
        embeddings: File of class embeddings, see `TextEmbeddings`. It holds means over prompts:
            `templates` must be None, `finetune` 'none'.
        templates: 'vild' for the 63 prompts of the package, a `.json` or `.txt` file of prompts, a
            list of prompts, or None for the mean over the 63 prompts (P = 1).
        synonyms: Other names of classes, averaged into the embeddings of the text tower.
        finetune: 'attention' or 'none'; 'none' if `templates` is None.

    Attributes:
        tower: The text tower that trains, or None.

    Raises:
        FileNotFoundError: The file of prompts does not exist.
        NotImplementedError: The text tower cannot be fine-tuned.
        ValueError: A template has no `{}`, or `templates`, `embeddings` and `finetune` contradict
            each other.
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
            raise ValueError(
                f'decode_head.finetune: expected one of {", ".join(FINETUNE)}, got {finetune!r}'
            )
        if embeddings is not None and self.templates is not None:
            raise ValueError(
                f'{embeddings} holds one vector per class, not per prompt: expected '
                f'templates=None, got {len(self.templates)} templates'
            )
        if self.trains and self.templates is None:
            raise ValueError(
                'templates=None uses frozen mean embeddings: expected '
                "finetune='none', or templates with finetune='attention'"
            )
        self._load_tower()

    @property
    def count(self) -> int:
        """Prompts per class, P."""
        return 1 if self.templates is None else len(self.templates)

    @property
    def encodes_each_step(self) -> bool:
        """Whether each forward pass encodes the classes, since the text tower is training."""
        return self.tower is not None and self.training

    def use_clip_of(self, tower: VisionTower, key: str) -> None:
        """As `TextEmbeddings.use_clip_of`; also loads a text tower that trains."""
        super().use_clip_of(tower, key)
        self._load_tower()

    def train(self, mode: bool = True) -> CATSegPrompts:
        """Set the mode; the text tower stays in eval mode. Training outdates the table."""
        if self.tower is not None and mode:
            self._forget()
        super().train(mode)
        if self.tower is not None:
            self.tower.eval()
        return self

    def forward(self, classes: Sequence[str]) -> Tensor:
        """Unit embeddings of classes per prompt; errors as in `encode`.

        Args:
            classes: K names.

        Returns:
            Shape (K, P, D), with a gradient if the text tower is training.
        """
        if self.tower is not None and self.training:
            rows = self._embed(self.tower, classes)
            self._check_width(rows)
            return rows
        self.set_classes(classes)
        return self.table if self.templates is not None else self.table[:, None]

    @property
    def _can_encode(self) -> bool:
        return super()._can_encode and not self.encodes_each_step

    def _load_tower(self) -> None:
        if self.trains and self.tower is None and self.text is not None:
            self.tower = self._text_tower()
            unlock_text_attention(self.tower.text)

    def _load_from_state_dict(self, *args: object) -> None:
        super()._load_from_state_dict(*args)
        self._forget()

    def _row(self, vector: Tensor) -> Tensor:
        row = super()._row(vector)
        return row if self.templates is None else row.expand(self.count, -1)

    def _compute(self, classes: Sequence[str]) -> Tensor:
        """Embeddings of K names, shape (K, P, D), or (K, D) without templates."""
        if self.templates is None:
            return super()._compute(classes)
        return self._embed(self.tower or self._text_tower().to(self.device), classes, BATCH)

    def _embed(self, tower: TextTower, classes: Sequence[str], batch: int | None = None) -> Tensor:
        """Embeddings of a text tower, `batch` prompts per pass, shape (K, P, D)."""
        assert self.templates is not None
        names = [(name.split(', ')[0], *self.synonyms.get(name, ())) for name in classes]
        every = [name for own in names for name in own]
        prompts = [prompt for name in every for prompt in expand_prompts(name, self.templates)]
        device = next(tower.parameters()).device
        ids = tower.tokenizer(prompts)
        warn_of_cut(every, find_cut(tower.tokenizer, prompts, ids), ids.shape[1])
        tokens = ids.to(device).split(batch or len(prompts))
        # float32: autocast of torch 2.1 rejects the float causal mask of the text tower.
        with torch.autocast(device.type, enabled=False):
            rows = [
                encode_short(tower.text, part)
                for part in tqdm(tokens, desc='prompts', disable=len(tokens) < LONG)
            ]
        by_name = F.normalize(torch.cat(rows).float(), dim=-1).unflatten(0, (-1, self.count))
        of_classes = by_name.split([len(own) for own in names])
        return torch.stack([F.normalize(own.mean(dim=0), dim=-1) for own in of_classes])


def read_prompt_set(templates: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Resolve the argument `templates` of `CATSegPrompts`."""
    if templates is None:
        return None
    if isinstance(templates, str):
        return PROMPT_TEMPLATES if templates == 'vild' else read_templates(templates)
    return check_templates(list(templates))
