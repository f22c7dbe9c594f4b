"""Table of text embeddings: one unit vector per class name."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cache, cached_property

import torch
from torch import Tensor, nn

from clipself_mm.io.names import near_misses

from .class_embeddings import load_class_embeddings, read_metadata, read_named_embeddings
from .embedding_metadata import EmbeddingMetadata
from .exemplar_embedding import ExemplarEmbedding
from .prompts import PROMPT_TEMPLATES
from .text_tower import TextTower
from .text_warnings import warn_of_equal
from .vision_tower import VisionTower

_logger = logging.getLogger(__name__)


class TextEmbeddings(nn.Module):
    """Unit embeddings of class names: read from a file, or computed by the text tower of a CLIP.

    The table is a non-persistent buffer: it follows from the config, and a checkpoint serves any
    vocabulary. It is computed by `train()` or `eval()`, which every loop, inferencer and tool of
    mmengine calls once weights and device are set, and later by `set_classes`; so it is ready
    before the forward pass. A model on which neither was called computes it on first use. While a
    model is built, or on the meta device, nothing is read or computed.

    Args:
        classes: K names; a file of embeddings must have them all.
        embeddings: File that `load_class_embeddings` reads.
        text: Arguments of `TextTower`. It encodes the classes if there is no file, and new names
            of `set_classes`, these with the prompts in the metadata of the file.
        synonyms: Other names of classes, averaged into the embeddings of the text tower, not into
            those of a file.
        dim: Channels D of the features; by default those of the tower of `use_clip_of`.

    Attributes:
        classes: The K names.
        exemplars: Pictures of classes, by name, see `set_classes`.
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
        self.exemplars: Mapping[str, ExemplarEmbedding] = {}
        self._key = 'text'
        self._own_clip = False
        self._new = False
        self._in_use = False
        self._outdated = True
        self._computed: dict[str, Tensor] = {}
        self._compared: set[tuple[str, ...]] = set()
        self._file_cache: dict[tuple[str, ...], Tensor] = {}
        self.register_buffer('_table', torch.empty(0), persistent=False)

    def use_clip_of(self, tower: VisionTower, key: str) -> None:
        """Use the CLIP of an image tower as text tower, unless `text` was given.

        Args:
            tower: A tower whose weights file holds the text tower too.
            key: Config key of `text`, for errors.
        """
        self._key = key
        self.dim = self.dim or tower.dim
        if self.text is None:
            self.text = clip_of(tower)
            self._own_clip = True

    @property
    def source(self) -> str:
        """File or text tower, for errors."""
        return str(self.embeddings or f'the text tower {self.text}')

    @property
    def device(self) -> torch.device:
        """Device of the table and of its computation."""
        return self._table.device

    @property
    def table(self) -> Tensor:
        """The embeddings of `classes`, shape (K, D); errors as in `encode`."""
        if self._outdated:
            self._set_table(self.encode(self.classes, self._new))
        return self._table

    def set_classes(
        self,
        classes: Sequence[str],
        new: bool = True,
        exemplars: Mapping[str, ExemplarEmbedding] | None = None,
    ) -> None:
        """Change the classes; an error leaves them unchanged.

        Args:
            classes: K names.
            new: Whether names may be missing in the file of embeddings, see `encode`.
            exemplars: Embeddings of pictures, by the names of their classes; they are blended with
                those of the names. None keeps those of the last call.

        Raises:
            FileNotFoundError, ValueError: As in `encode`; before the first `train()` or `eval()`,
                these raise it instead.
        """
        classes = tuple(classes)
        before = self.exemplars
        changed = exemplars is not None and (exemplars or before) and exemplars is not before
        if (classes, new) == (self.classes, self._new) and not changed:
            return
        try:
            self.exemplars = before if exemplars is None else exemplars
            ready = classes and self._in_use and self._can_encode
            table = self.encode(classes, new) if ready else None
        except Exception:
            self.exemplars = before
            raise
        self.classes, self._new, self._outdated = classes, new, True
        if table is not None:
            self._set_table(table)

    def train(self, mode: bool = True) -> TextEmbeddings:
        """Set the mode and compute the table if it is outdated."""
        super().train(mode)
        self._in_use = True
        if self._outdated and self.classes and self._can_encode:
            self._set_table(self.encode(self.classes, self._new))
        return self

    def encode(self, classes: Sequence[str], new: bool = False) -> Tensor:
        """Embeddings of any names; each name is computed once.

        Names with equal embeddings are logged as a warning.

        Args:
            classes: K names.
            new: Whether the text tower computes names that are missing in the file; otherwise they
                are an error, because all embeddings of a vocabulary must have one source.

        Returns:
            Shape (K, D), on `device`.

        Raises:
            FileNotFoundError: The file or the text tower's checkpoint is missing.
            ValueError: A name has no embedding and there is no text tower; or D is not that of
                the features.
        """
        # Inference tensors could not be used in a later training step.
        with (
            torch.inference_mode(False),
            torch.no_grad(),
            torch.autocast(self.device.type, enabled=False),
        ):
            if self.embeddings is None or new:
                rows = self._by_name(classes)
            else:
                rows = list(self._of_file(self.embeddings, tuple(classes)).split(1))
            self._check_width(*rows)
            given = self.exemplars
            rows = [
                given[name].blend(row) if name in given else row
                for name, row in zip(classes, rows, strict=True)
            ]
            table = torch.cat(rows)
            if tuple(classes) not in self._compared:
                warn_of_equal(classes, table)
                self._compared.add(tuple(classes))
            return table.to(self.device)

    @property
    def _can_encode(self) -> bool:
        """Whether there is a file or a text tower, and a real device."""
        return (self.embeddings or self.text) is not None and self.device.type != 'meta'

    def _set_table(self, table: Tensor) -> None:
        self._table, self._outdated = table, False

    def _forget(self) -> None:
        """Drop the computed embeddings."""
        self._computed.clear()
        self._outdated = True

    def _check_width(self, *rows: Tensor) -> None:
        """Check that embeddings have as many channels as the features."""
        widths = sorted({part.shape[-1] for part in rows})
        if len(widths) > 1:
            raise ValueError(
                f'{self.embeddings} and the text tower {self.text} give embeddings of different '
                f'widths, {widths}: use one CLIP for both'
            )
        if widths != [self.dim or widths[0]]:
            raise ValueError(
                f'{self.source}: embeddings have {widths[0]} channels, the features {self.dim}: '
                'use one CLIP for both'
            )

    def _of_file(self, path: str, classes: tuple[str, ...]) -> Tensor:
        if classes not in self._file_cache:
            self._file_cache[classes] = load_class_embeddings(path, classes)
            self._compare_models()
        return self._file_cache[classes]

    def _by_name(self, classes: Sequence[str]) -> list[Tensor]:
        """One row of shape (1, D) per name; a name that has no effect is not encoded."""
        rows = self._in_file | self._computed
        given = {name: self.exemplars[name] for name in classes if name in self.exemplars}
        rows |= {name: self._row(e.vector) for name, e in given.items() if e.weight == 1}
        missing = [name for name in dict.fromkeys(classes) if name not in rows]
        if missing:
            if self.text is None:
                raise ValueError(
                    f'{self.embeddings or "embeddings=None"} has no embedding of {missing[:5]} and '
                    f'there is no text tower to compute it: give `{self._key}` (a CLIP model and '
                    f'its checkpoint){near_misses(missing, self._in_file)}'
                )
            _logger.info('computing embeddings of %d class names with %s', len(missing), self.text)
            self._computed.update(zip(missing, self._compute(missing).cpu(), strict=True))
            rows = self._computed | rows
        return [rows[name][None] for name in classes]

    def _row(self, vector: Tensor) -> Tensor:
        """The row of a class that is not given by its name, from a vector of shape (D)."""
        return vector.cpu()

    def _compute(self, classes: Sequence[str]) -> Tensor:
        """Embeddings of K names by the text tower, shape (K, D)."""
        return (
            self._text_tower()
            .to(self.device)
            .embed_classes(
                classes,
                templates=self._metadata.templates or PROMPT_TEMPLATES,
                synonyms=self.synonyms,
            )
        )

    def _text_tower(self) -> TextTower:
        try:
            return TextTower(**(self.text or {}))
        except ValueError as error:
            if not self._own_clip:
                raise
            raise ValueError(
                f'{error}; by default the CLIP of the image tower encodes the classes, set '
                f'{self._key} to use another'
            ) from error

    @cached_property
    def _in_file(self) -> dict[str, Tensor]:
        if self.embeddings is None:
            return {}
        self._compare_models()
        return read_named_embeddings(self.embeddings)

    @cached_property
    def _metadata(self) -> EmbeddingMetadata:
        return EmbeddingMetadata() if self.embeddings is None else read_metadata(self.embeddings)

    def _compare_models(self) -> None:
        """Warn if file and config name different CLIPs; folders are not compared."""
        in_file, in_config = self._metadata.model, (self.text or {}).get('model')
        if in_file is None or in_config is None or ':' in in_file + in_config:
            return
        if in_file.replace('/', '-') != in_config.replace('/', '-'):
            _warn_of_two_models(str(self.embeddings), in_file, in_config)

    def extra_repr(self) -> str:
        """Number of classes and their source, for printing."""
        return f'{len(self.classes)} classes of {self.source}'


def clip_of(tower: VisionTower) -> dict[str, str] | None:
    """Arguments of `TextTower` for the CLIP of a tower; None if the tower has random weights."""
    source = tower.source
    if source is None or source.checkpoint is None:
        return None
    return dict(model=source.model, checkpoint=source.checkpoint)


@cache
def _warn_of_two_models(embeddings: str, in_file: str, in_config: str) -> None:
    _logger.warning(
        '%s: embeddings of the CLIP %s, but the config has %s; embeddings and features of two '
        'CLIPs do not match',
        embeddings,
        in_file,
        in_config,
    )
