"""Metadata of a file of class embeddings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class EmbeddingMetadata:
    """How class embeddings were made; unknown fields are empty.

    Attributes:
        templates: Prompts over which a class is averaged.
        synonyms: Other names that are averaged into a class.
        model: open_clip name or folder of the CLIP.
        checkpoint: Name of its weights file, without the folder.
    """

    templates: tuple[str, ...] = ()
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    model: str | None = None
    checkpoint: str | None = None

    def to_json(self) -> dict[str, str]:
        """Attribute name to JSON text, for the header of a safetensors file."""
        content = dict(
            templates=list(self.templates),
            synonyms={name: list(others) for name, others in self.synonyms.items()},
            model=self.model,
            checkpoint=self.checkpoint,
        )
        return {key: json.dumps(value, ensure_ascii=False) for key, value in content.items()}

    @classmethod
    def from_json(cls, header: Mapping[str, str]) -> EmbeddingMetadata:
        """The inverse of `to_json`; other keys of the header are ignored.

        Raises:
            ValueError: A key is missing or has the wrong type.
        """
        try:
            content = {key: json.loads(header[key]) for key in cls.__dataclass_fields__}
            return cls(
                templates=tuple(content['templates']),
                synonyms={name: tuple(others) for name, others in content['synonyms'].items()},
                model=content['model'],
                checkpoint=content['checkpoint'],
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f'its header has no valid metadata: {error!r}') from error
