"""Text embeddings of classes prompt by prompt, as the cost volume of CAT-Seg takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from clipself_mm.clip import PROMPT_TEMPLATES, ClassEncoder, TextTower, expand_prompts
from clipself_mm.clip.attention_unlock import unlock_text_attention
from clipself_mm.clip.prompts import check_templates, read_templates
from clipself_mm.clip.short_text import encode_short

PROMPTS = ('A photo of a {} in the scene',)
"""The one prompt of CAT-Seg's public code."""
FINETUNE = ('attention', 'none')
BATCH = 512
"""Prompts a pass of the text tower, where nothing trains."""
LONG = 4
"""Passes from which on a bar shows how far they are."""
KEPT = 2
"""Vocabularies whose tables stay on the device: that of training and that of the test."""


class CATSegPrompts(nn.Module):
    """Embeddings of classes, one for each prompt.

    Of a class that is several names with commas (`building, edifice`) the first is taken.

    With `finetune='attention'` the query and value weights of the text tower train, as those of the
    image tower do: in training mode embeddings are made anew and with a gradient in each step, in
    eval mode once for each vocabulary, until the weights can have changed (a training, a loaded
    checkpoint). The tower is then part of checkpoints. With 'none' it is not: embeddings are made
    when first asked for, and kept.

    Args:
        text: Arguments of `TextTower`; may come later, by `use_text`.
        embeddings: A file of class embeddings (`ClassEncoder`); it holds means over prompts, so
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
        super().__init__()
        self.text: dict | None = None
        self.tower: TextTower | None = None
        self.embeddings = embeddings
        self.templates = read_prompt_set(templates)
        self.synonyms = synonyms or {}
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
        self._of_name: dict[str, Tensor] = {}
        self._tables: dict[tuple, Tensor] = {}
        if text is not None:
            self.use_text(text)

    @property
    def count(self) -> int:
        """Prompts a class, P."""
        return 1 if self.templates is None else len(self.templates)

    def use_text(self, text: dict) -> None:
        """Encode by this text tower; where it trains, it is loaded now.

        Args:
            text: Arguments of `TextTower`.
        """
        self.text = text
        if self.trains:
            self.tower = TextTower(**text)
            unlock_text_attention(self.tower.text)

    def train(self, mode: bool = True) -> CATSegPrompts:
        """Set the mode; the tower's modules stay in eval. What training outdates is forgotten."""
        super().train(mode)
        if self.tower is not None:
            self.tower.eval()
            if mode:
                self.forget()
        return self

    def forget(self) -> None:
        """Drop the embeddings that were kept."""
        self._of_name.clear()
        self._tables.clear()

    def _load_from_state_dict(self, *args: object) -> None:
        super()._load_from_state_dict(*args)
        self.forget()

    def encode(self, classes: Sequence[str], device: torch.device | str = 'cpu') -> Tensor:
        """Unit embeddings of the prompts of classes.

        Args:
            classes: K names.
            device: Where they are computed and left.

        Returns:
            Shape (K, P, D), with a gradient in training where the text tower trains.

        Raises:
            FileNotFoundError: The file or the text tower's checkpoint is missing.
            ValueError: There is neither a text tower nor a file with these classes.
        """
        if self.tower is not None and self.training:
            return self._embed(self.tower, classes)
        key = (tuple(classes), str(device))
        if key not in self._tables:
            # Not inference mode: a table made in a test would be useless to a later training.
            with torch.inference_mode(False), torch.no_grad():
                unknown = [name for name in dict.fromkeys(classes) if name not in self._of_name]
                if unknown:
                    with torch.autocast(torch.device(device).type, enabled=False):
                        rows = self._compute(unknown, device).cpu()
                    self._of_name.update(zip(unknown, rows, strict=True))
                table = torch.stack([self._of_name[name] for name in classes]).to(device)
            while len(self._tables) >= KEPT:
                del self._tables[next(iter(self._tables))]
            self._tables[key] = table
        return self._tables[key]

    def _compute(self, classes: Sequence[str], device: torch.device | str) -> Tensor:
        """Embeddings of classes that were not asked for before, shape (K, P, D)."""
        if self.templates is None:
            encoder = ClassEncoder(self.embeddings, self.text, self.synonyms)
            return encoder.encode_new(classes, device)[:, None]
        if self.text is None:
            raise ValueError(
                f'no text tower to encode {list(classes)[:5]}: give the decode head `text` (a '
                'CLIP model and its checkpoint), or the backbone a tower with a checkpoint'
            )
        return self._embed(self.tower or TextTower(**self.text).to(device), classes, BATCH)

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
