"""The text that features are compared with: unit embeddings of class names, as a table."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cache, cached_property

import torch
from torch import Tensor, nn

from .class_embeddings import (
    load_class_embeddings,
    near_misses,
    read_named_embeddings,
    read_origin,
)
from .embedding_metadata import EmbeddingMetadata
from .prompts import PROMPT_TEMPLATES
from .text_tower import TextTower
from .vision_tower import VisionTower

_logger = logging.getLogger(__name__)


class TextEmbeddings(nn.Module):
    """Unit embeddings of class names: read from a file, or computed by the text tower of a CLIP.

    The table is a buffer that no checkpoint has: it follows from the config, and another vocabulary
    needs no other weights. It is made when the mode of the model is set (`train()` or `eval()`, as
    every loop, inferencer and tool of mm's does after weights and device are settled), and from
    then on in `set_classes`, so that a forward pass finds it ready. A model whose mode nobody sets
    makes it on first use. Nothing is read or computed while a model is built or on the meta device.

    Args:
        classes: K names; a file of embeddings must have them all.
        embeddings: File that `load_class_embeddings` reads.
        text: Arguments of `TextTower`. It encodes the classes where there is no file, and names
            that come up later, these by the prompts of the file where it tells them.
        synonyms: Other names of classes, averaged into what the text tower computes. A file's
            vectors are taken as they are.
        dim: Width D of the features; that of the tower of `use_clip_of` if left out.

    Attributes:
        classes: The K names.
    """

    def __init__(
        self,
        classes: Sequence[str] = (),
        embeddings: str | None = None,
        text: Mapping | None = None,
        synonyms: Mapping[str, Sequence[str]] | None = None,
        dim: int | None = None,
    ) -> None:
        super().__init__()
        self.classes = tuple(classes)
        self.embeddings = embeddings
        self.text = text
        self.synonyms = synonyms or {}
        self.dim = dim
        self._key = 'text'
        self._own_clip = False
        self._new = False
        self._in_use = False
        self._outdated = True
        self._computed: dict[str, Tensor] = {}
        self._looked_up: dict[tuple[str, ...], Tensor] = {}
        self.register_buffer('_table', torch.empty(0), persistent=False)

    def use_clip_of(self, tower: VisionTower, key: str) -> None:
        """Compare with the features of a tower; its own CLIP encodes where no `text` was given.

        Args:
            tower: Its file holds the text tower too, where its CLIP is to encode.
            key: Where a config names another `text`, for errors.
        """
        self._key = key
        self.dim = self.dim or tower.dim
        if self.text is None:
            self.text = clip_of(tower)
            self._own_clip = True

    @property
    def source(self) -> str:
        """What to name in an error."""
        return str(self.embeddings or f'the text tower {self.text}')

    @property
    def device(self) -> torch.device:
        """Where the table is and is computed."""
        return self._table.device

    @property
    def table(self) -> Tensor:
        """The embeddings of `classes`, shape (K, D); errors as in `encode`."""
        if self._outdated:
            self._keep(self.encode(self.classes, self._new))
        return self._table

    def set_classes(self, classes: Sequence[str], new: bool = True) -> None:
        """Change the classes; if that fails, they stay as they were.

        Args:
            classes: K names.
            new: Whether a file of embeddings may lack them, see `encode`.

        Raises:
            FileNotFoundError, ValueError: As in `encode`; in a model whose mode was not set yet,
                when it is set.
        """
        classes = tuple(classes)
        if (classes, new) == (self.classes, self._new):
            return
        table = self.encode(classes, new) if classes and self._in_use and self._can_encode else None
        self.classes, self._new, self._outdated = classes, new, True
        if table is not None:
            self._keep(table)

    def train(self, mode: bool = True) -> TextEmbeddings:
        """Set the mode and make the table, where it is not made."""
        super().train(mode)
        self._in_use = True
        if self._outdated and self.classes and self._can_encode:
            self._keep(self.encode(self.classes, self._new))
        return self

    def encode(self, classes: Sequence[str], new: bool = False) -> Tensor:
        """Embeddings of any names; a name is computed once.

        Args:
            classes: K names.
            new: Whether they are computed by the text tower where the file lacks them; otherwise
                that is an error, since a vocabulary has its embeddings from one source.

        Returns:
            Shape (K, D), on `device`.

        Raises:
            FileNotFoundError: The file or the text tower's checkpoint is missing.
            ValueError: A name is in no file and there is no text tower to compute it; or D is not
                that of the features.
        """
        # Not inference mode: a table made in a test would be useless to a later training.
        with (
            torch.inference_mode(False),
            torch.no_grad(),
            torch.autocast(self.device.type, enabled=False),
        ):
            if self.embeddings is None or new:
                rows = self._by_name(classes)
            else:
                rows = [self._of_file(tuple(classes))]
            self._check_width(*rows)
            return torch.cat(rows).to(self.device)

    @property
    def _can_encode(self) -> bool:
        """Whether there is something to encode by, and a real device to do it on."""
        return (self.embeddings or self.text) is not None and self.device.type != 'meta'

    def _keep(self, table: Tensor) -> None:
        self._table, self._outdated = table, False

    def _forget(self) -> None:
        """Drop what was computed."""
        self._computed.clear()
        self._outdated = True

    def _check_width(self, *rows: Tensor) -> None:
        """Refuse embeddings that are not of the CLIP whose features they are compared with."""
        widths = sorted({part.shape[-1] for part in rows})
        if len(widths) > 1:
            raise ValueError(
                f'{self.embeddings} and the text tower {self.text} give embeddings of different '
                f'widths, {widths}: they are not of one CLIP'
            )
        if widths != [self.dim or widths[0]]:
            raise ValueError(
                f'{self.source}: embeddings have {widths[0]} channels, the features {self.dim}: '
                'they are not of one CLIP'
            )

    def _of_file(self, classes: tuple[str, ...]) -> Tensor:
        if classes not in self._looked_up:
            self._looked_up[classes] = load_class_embeddings(self.embeddings, classes)
            self._compare_models()
        return self._looked_up[classes]

    def _by_name(self, classes: Sequence[str]) -> list[Tensor]:
        """A row of shape (1, D) for each name."""
        known = self._in_file | self._computed
        unknown = [name for name in dict.fromkeys(classes) if name not in known]
        if unknown:
            if self.text is None:
                raise ValueError(
                    f'{self.embeddings or "embeddings=None"} has no embedding of {unknown[:5]} and '
                    f'there is no text tower to compute it: give `{self._key}` (a CLIP model and '
                    f'its checkpoint){near_misses(unknown, self._in_file)}'
                )
            _logger.info('embedding %d class names by %s', len(unknown), self.text)
            self._computed.update(zip(unknown, self._compute(unknown).cpu(), strict=True))
            known |= self._computed
        return [known[name][None] for name in classes]

    def _compute(self, classes: Sequence[str]) -> Tensor:
        """Embeddings of K names by the text tower, shape (K, D)."""
        return (
            self._text_tower()
            .to(self.device)
            .embed_classes(
                classes,
                templates=self._origin.templates or PROMPT_TEMPLATES,
                synonyms=self.synonyms,
            )
        )

    def _text_tower(self) -> TextTower:
        try:
            return TextTower(**self.text)
        except ValueError as error:
            if not self._own_clip:
                raise
            raise ValueError(
                f"{error}; the classes are encoded by the tower's own CLIP, unless {self._key} "
                'names another'
            ) from error

    @cached_property
    def _in_file(self) -> dict[str, Tensor]:
        if self.embeddings is None:
            return {}
        self._compare_models()
        return read_named_embeddings(self.embeddings)

    @cached_property
    def _origin(self) -> EmbeddingMetadata:
        return EmbeddingMetadata() if self.embeddings is None else read_origin(self.embeddings)

    def _compare_models(self) -> None:
        """Warn if file and config name two CLIPs; a folder does not say which one is in it."""
        theirs, ours = self._origin.model, (self.text or {}).get('model')
        if theirs is None or ours is None or ':' in theirs + ours:
            return
        if theirs.replace('/', '-') != ours.replace('/', '-'):
            _warn_of_two_models(str(self.embeddings), theirs, ours)

    def extra_repr(self) -> str:
        """Number of classes and where they come from, for printing."""
        return f'{len(self.classes)} classes of {self.source}'


def clip_of(tower: VisionTower) -> dict[str, str] | None:
    """Arguments of the `TextTower` of a tower's own CLIP; None if the tower has random weights."""
    source = tower.source
    if source is None or source.checkpoint is None:
        return None
    return dict(model=source.model, checkpoint=source.checkpoint)


@cache
def _warn_of_two_models(embeddings: str, theirs: str, ours: str) -> None:
    _logger.warning(
        '%s: its embeddings are of the CLIP %s, the config has %s; embeddings and features of '
        'two CLIPs do not match',
        embeddings,
        theirs,
        ours,
    )
