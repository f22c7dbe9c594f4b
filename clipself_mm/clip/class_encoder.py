"""Where the embeddings of class names come from: a file, or the text tower of the CLIP."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cache, cached_property

import torch
from torch import Tensor

from .class_embeddings import (
    load_class_embeddings,
    near_misses,
    read_named_embeddings,
    read_origin,
)
from .embedding_origin import EmbeddingOrigin
from .prompts import PROMPT_TEMPLATES
from .text_tower import TextTower

_logger = logging.getLogger(__name__)


class ClassEncoder:
    """Unit embeddings of class names, read or computed on demand.

    Not a module: neither the text tower nor the file belongs to a model's weights.

    Args:
        embeddings: File that `load_class_embeddings` reads; the classes of a config's vocabulary
            must all be in it.
        text: Arguments of `TextTower`. It encodes the vocabulary where there is no file, and names
            that come up later, these by the prompts of the file where it tells them.
        synonyms: Other names of classes, averaged into what the text tower computes. A file's
            vectors are taken as they are.
    """

    def __init__(
        self,
        embeddings: str | None = None,
        text: dict | None = None,
        synonyms: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.embeddings = embeddings
        self.text = text
        self.synonyms = synonyms or {}
        self._computed: dict[str, Tensor] = {}
        self._looked_up: dict[tuple[str, ...], Tensor] = {}

    @property
    def source(self) -> str:
        """What to name in an error."""
        return str(self.embeddings or f'the text tower {self.text}')

    def encode(self, classes: Sequence[str], device: torch.device | str = 'cpu') -> Tensor:
        """Embeddings of a vocabulary's classes.

        Args:
            classes: K names.
            device: Where they are computed and left.

        Returns:
            Shape (K, D).

        Raises:
            FileNotFoundError: The file or the text tower's checkpoint is missing.
            ValueError: The file lacks a class, or there is neither a file nor a text tower.
        """
        if self.embeddings is None:
            return self.encode_new(classes, device)
        key = tuple(classes)
        if key not in self._looked_up:
            self._looked_up[key] = load_class_embeddings(self.embeddings, classes)
            self._compare_models()
        return self._looked_up[key].to(device)

    def encode_new(self, classes: Sequence[str], device: torch.device | str = 'cpu') -> Tensor:
        """Embeddings of any names: of the file where it has them, else by the text tower.

        Arguments, result and errors as in `encode`. A name is computed once.
        """
        known = self._in_file | self._computed
        unknown = [name for name in dict.fromkeys(classes) if name not in known]
        if unknown:
            if self.text is None:
                raise ValueError(
                    f'{self.embeddings or "no file"} has no embedding of {unknown[:5]} and there '
                    'is no text tower to compute it: give `text` (a CLIP model and its checkpoint)'
                    f'{near_misses(unknown, self._in_file)}'
                )
            _logger.info('embedding %d class names by %s', len(unknown), self.text)
            made = (
                TextTower(**self.text)
                .to(device)
                .embed_classes(
                    unknown,
                    templates=self._origin.templates or PROMPT_TEMPLATES,
                    synonyms=self.synonyms,
                )
            )
            self._computed.update(zip(unknown, made.cpu(), strict=True))
            known |= self._computed
        widths = {known[name].shape[0] for name in classes}
        if len(widths) > 1:
            raise ValueError(
                f'{self.embeddings} and the text tower {self.text} give embeddings of different '
                f'widths, {sorted(widths)}: they are not of one CLIP'
            )
        return torch.stack([known[name] for name in classes]).to(device)

    @cached_property
    def _in_file(self) -> dict[str, Tensor]:
        if self.embeddings is None:
            return {}
        self._compare_models()
        return read_named_embeddings(self.embeddings)

    @cached_property
    def _origin(self) -> EmbeddingOrigin:
        return EmbeddingOrigin() if self.embeddings is None else read_origin(self.embeddings)

    def _compare_models(self) -> None:
        """Warn if file and config name two CLIPs; a folder does not say which one is in it."""
        theirs, ours = self._origin.model, (self.text or {}).get('model')
        if theirs is None or ours is None or ':' in theirs + ours:
            return
        if theirs.replace('/', '-') != ours.replace('/', '-'):
            _warn_of_two_models(str(self.embeddings), theirs, ours)


@cache
def _warn_of_two_models(embeddings: str, theirs: str, ours: str) -> None:
    _logger.warning(
        '%s: its embeddings are of the CLIP %s, the config has %s; embeddings and features of '
        'two CLIPs do not match',
        embeddings,
        theirs,
        ours,
    )
