"""What class embeddings were made of, as a file of embeddings remembers it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class EmbeddingMetadata:
    """How class embeddings came about; what is not known stays empty.

    Attributes:
        templates: The prompts they are averaged over.
        synonyms: Other names that are averaged into a class.
        model: open_clip name or folder of the CLIP.
        checkpoint: Name of its file, without the folder.
    """

    templates: tuple[str, ...] = ()
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    model: str | None = None
    checkpoint: str | None = None

    def to_json(self) -> dict[str, str]:
        """Attribute name to json text: the strings that a safetensors header holds."""
        content = dict(
            templates=list(self.templates),
            synonyms={name: list(others) for name, others in self.synonyms.items()},
            model=self.model,
            checkpoint=self.checkpoint,
        )
        return {key: json.dumps(value, ensure_ascii=False) for key, value in content.items()}

    @classmethod
    def from_json(cls, header: Mapping[str, str]) -> EmbeddingMetadata:
        """The inverse of `to_json`; other keys of the header are passed over.

        Raises:
            ValueError: A key is missing, or its text is no json of the right kind.
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
            raise ValueError(f'its header does not say how it was made: {error!r}') from error
