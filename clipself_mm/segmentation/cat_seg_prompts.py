"""Text embeddings of classes prompt by prompt, as the cost volume of CAT-Seg takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from clipself_mm.clip import PROMPT_TEMPLATES, ClassEncoder, TextTower, expand_prompts
from clipself_mm.clip.prompts import check_templates, read_templates

BATCH = 512
"""Prompts a pass of the text tower."""
LONG = 4
"""Passes from which on a bar shows how far they are."""
KEPT = 2
"""Vocabularies whose tables stay on the device: that of training and that of the test."""


class CATSegPrompts:
    """Embeddings of classes, one for each prompt, computed when first asked for.

    Not a module: the text tower is frozen and belongs to no checkpoint.

    Args:
        text: Arguments of `TextTower`.
        embeddings: A file of class embeddings (`ClassEncoder`); it holds means over prompts, so
            `templates` must be None.
        templates: 'vild' for the 63 prompts of the package, a `.json` or `.txt` file of prompts, a
            list of them, or None for the mean over the 63, which is then the only prompt.
        synonyms: Other names of classes, averaged into what the text tower computes.

    Raises:
        FileNotFoundError: The file of prompts is missing.
        ValueError: A template has no place for the class, or there are templates and a file of
            embeddings.
    """

    def __init__(
        self,
        text: dict | None = None,
        embeddings: str | None = None,
        templates: str | Sequence[str] | None = 'vild',
        synonyms: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.text = text
        self.embeddings = embeddings
        self.templates = read_prompt_set(templates)
        self.synonyms = synonyms or {}
        if embeddings is not None and self.templates is not None:
            raise ValueError(
                f'{embeddings} holds one vector a class, not one a prompt: expected '
                f'templates=None with it, got {len(self.templates)} templates'
            )
        self._of_name: dict[str, Tensor] = {}
        self._tables: dict[tuple, Tensor] = {}

    @property
    def count(self) -> int:
        """Prompts a class, P."""
        return 1 if self.templates is None else len(self.templates)

    def encode(self, classes: Sequence[str], device: torch.device | str = 'cpu') -> Tensor:
        """Unit embeddings of the prompts of classes.

        Args:
            classes: K names.
            device: Where they are computed and left.

        Returns:
            Shape (K, P, D), without gradient.

        Raises:
            FileNotFoundError: The file or the text tower's checkpoint is missing.
            ValueError: There is neither a text tower nor a file with these classes.
        """
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
        tower = TextTower(**self.text).to(device)
        names = [(name, *self.synonyms.get(name, ())) for name in classes]
        prompts = [
            prompt
            for own in names
            for name in own
            for prompt in expand_prompts(name, self.templates)
        ]
        starts = range(0, len(prompts), BATCH)
        rows = [
            tower.encode_text(tower.tokenizer(prompts[start : start + BATCH]).to(device))
            for start in tqdm(starts, desc='prompts', disable=len(starts) < LONG)
        ]
        by_name = F.normalize(torch.cat(rows), dim=-1).unflatten(0, (-1, self.count))
        of_classes = by_name.split([len(own) for own in names])
        return torch.stack([F.normalize(own.mean(dim=0), dim=-1) for own in of_classes])


def read_prompt_set(templates: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """The prompts that `CATSegPrompts` is given by name, by file or as they are."""
    if templates is None:
        return None
    if isinstance(templates, str):
        return PROMPT_TEMPLATES if templates == 'vild' else read_templates(templates)
    return check_templates(list(templates))
